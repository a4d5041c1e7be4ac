/** A short run of the random programs; `npm run programs` runs a hundred thousand. */

import { describe, it } from 'node:test'
import fc from 'fast-check'
import { run } from './driver.ts'
import { program, programWithGuards } from './program.ts'
import { quiet } from './quiet.ts'
import { newTally } from './tally.ts'

describe('the manager and a naive model', { timeout: 300_000 }, () => {
  for (const [name, programs, seed] of [
    // The seeds are fixed: see run.ts.
    ['programs', program, 1],
    ['programs with guards', programWithGuards, 1],
  ] as const) {
    it(`agree on grants, waits, results and deadlocks in ${name}`, async (t) => {
      const tally = newTally()
      const { timers, undo } = quiet()
      await fc.assert(
        fc.asyncProperty(programs, (one) => run(one, timers, tally)),
        { numRuns: 5000, seed },
      )
      undo()
      t.diagnostic(`seed ${seed}: ${JSON.stringify({ ...tally, forms: [...tally.forms] })}`)
    })
  }
})
