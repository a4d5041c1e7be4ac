/**
 * Runs many random programs and prints what they contained: `npm run programs -- --programs N --seed S`.
 * `--guards` also takes guards. In a few programs the model and the manager move a request in its queue at
 * different times. These are counted and not compared any further; with `--strict` they fail. The table
 * counts cycles by the forms in which their requests are awaited.
 */

import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { run } from './driver.ts'
import { OrderDiffers } from './follow.ts'
import { FORMS } from './forms.ts'
import { program, programWithGuards } from './program.ts'
import { quiet } from './quiet.ts'
import { newTally, tableOf } from './tally.ts'

const { values } = parseArgs({
  options: {
    programs: { type: 'string', default: '100000' },
    guards: { type: 'boolean', default: false },
    strict: { type: 'boolean', default: false },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
})
const numRuns = Number(values.programs)
const tally = newTally()
let firstOrder: string | undefined
const start = performance.now()
const { timers } = quiet()
await fc.assert(
  fc.asyncProperty(values.guards ? programWithGuards : program, async (one) => {
    try {
      await run(one, timers, tally)
    } catch (error) {
      // Counted, and the first is printed at the end. The rest of this program cannot be compared.
      if (values.strict || !(error instanceof OrderDiffers)) throw error
      tally.orderDiffers++
      firstOrder ??= error.message
    }
    if (process.stderr.isTTY && tally.programs % 1000 === 0) {
      process.stderr.write(`\r${tally.programs} of ${numRuns} programs `)
    }
  }),
  { numRuns, seed: Number(values.seed) },
)
if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')
const seconds = (performance.now() - start) / 1000
const { ended, races } = tally
const grouped = (count: number): string => count.toLocaleString('en-US')
const results = Object.entries(ended).map(([how, count]) => `${how} ${grouped(count)}`)
const guards = Object.entries(tally.throughGuards).map(([how, count]) => `${how} ${grouped(count)}`)
console.log(
  [
    `${grouped(tally.programs)} programs, each deadlock and each victim as the model says, and all else in`,
    `all but ${grouped(tally.orderDiffers)} (the order of a queue): ${grouped(tally.steps)} steps,`,
    `${grouped(tally.requests)} requests (${grouped(tally.nested)} of them nested),`,
    `${grouped(tally.deadlocks)} deadlocks reported and ${grouped(tally.suspected)} suspected`,
    `(${grouped(tally.provedLater)} of them proved later; through guards: ${guards.join(', ')});`,
    `ended: ${results.join(', ')};`,
    `of those that gave up in the very turn of their grant ${grouped(races.lost)} got nothing and`,
    `${grouped(races.won)} were granted; ${seconds.toFixed(0)} s, seed ${values.seed}`,
  ].join(' '),
)
const names = [...FORMS.map(({ name }) => name), 'returned', 'promise kept', 'helper kept']
if (firstOrder !== undefined) console.log(`\nThe first that differs in an order: ${firstOrder}`)
console.log(`\nCycles by the forms in them:\n\n${tableOf(tally, names)}`)
