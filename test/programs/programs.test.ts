/** A short run of the random programs; `npm run programs` makes a hundred thousand. */

import { describe, it } from 'node:test'
import fc from 'fast-check'
import { runtime } from '../../src/manager/clock.ts'
import { newTally, program, programWithGuards, run } from './program.ts'

describe('the manager and a naive model', { timeout: 300_000 }, () => {
  for (const [what, programs, seed] of [
    ['programs', program, Date.now() % 2 ** 31],
    // Always the same: see run.ts.
    ['programs with guards', programWithGuards, 1],
  ] as const) {
    it(`agree on who holds, who waits, how it ends and what is a deadlock, in ${what}`, async (t) => {
      const tally = newTally()
      t.mock.timers.enable({ apis: ['setTimeout'] })
      const real = { ...runtime }
      Object.assign(runtime, { setTimeout, clearTimeout })
      await fc.assert(
        fc.asyncProperty(programs, (one) => run(one, t.mock.timers, tally)),
        { numRuns: 5000, seed },
      )
      Object.assign(runtime, real)
      t.mock.timers.reset()
      t.diagnostic(`seed ${seed}: ${JSON.stringify(tally)}`)
    })
  }
})
