/** A short run of the random programs; `npm run programs` makes a hundred thousand. */

import { describe, it } from 'node:test'
import fc from 'fast-check'
import { newTally, program, run } from './program.ts'

describe('the manager and a naive model', { timeout: 300_000 }, () => {
  it('agree on who holds, who waits, how it ends and what is a deadlock', async (t) => {
    const seed = Date.now() % 2 ** 31
    const tally = newTally()
    t.mock.timers.enable({ apis: ['setTimeout'] })
    await fc.assert(
      fc.asyncProperty(program, (one) => run(one, t.mock.timers, tally)),
      { numRuns: 5000, seed },
    )
    t.mock.timers.reset()
    t.diagnostic(`seed ${seed}: ${JSON.stringify(tally)}`)
  })
})
