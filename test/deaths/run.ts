/**
 * Kills many threads and prints the results: `npm run deaths`, or `-- KILLS`. With `--settings`, measures
 * instead how soon 100 (or `KILLS`) deaths are seen in the settings of settings.ts, on all runtimes, or on
 * those that `--runtime NAME` selects.
 */

import { parseArgs } from 'node:util'
import { torture } from '../torture/torture.ts'
import { runDeaths } from './deaths.ts'
import { measureSettings } from './settings.ts'
import { runWaiters } from './waiters.ts'

const { values, positionals } = parseArgs({
  options: {
    settings: { type: 'boolean', default: false },
    runtime: { type: 'string', default: '' },
  },
  allowPositionals: true,
})
if (values.settings) {
  process.exit(measureSettings(Number(positionals[0] ?? 100), values.runtime) ? 0 : 1)
}
/** The duration of the torture, per kill. */
const SECONDS_PER_KILL = 0.06
const kills = Number(positionals[0] ?? 1000)
let isConsistent = true

for (const [strategy, accounts, repairs] of [
  ['ordered', 20, true],
  ['ordered', 1024, true],
  ['striped', 1024, true],
  // Each kill can leave two accounts abandoned forever, so there must be enough others.
  ['ordered', 4 * kills, false],
] as const) {
  const result = await runDeaths({
    strategy,
    accounts,
    kills,
    repairs,
    onKill: (done) => {
      if (process.stderr.isTTY) process.stderr.write(`\r${strategy}: ${done} of ${kills} killed `)
    },
  })
  if (process.stderr.isTTY) process.stderr.write('\n')
  const { failedAudits, totalBefore, totalAfter, seconds, ...counts } = result
  console.log(`${strategy}, ${accounts} accounts, ${repairs ? 'repairing' : 'nobody repairs'}:`)
  for (const [name, value] of Object.entries(counts)) console.log(`  ${name.padEnd(10)} ${value}`)
  console.log(`  failed audits ${failedAudits}; total ${totalBefore} before, ${totalAfter} after`)
  console.log(`  ${seconds.toFixed(1)} s`)
  if (repairs && (failedAudits > 0 || totalBefore !== totalAfter)) isConsistent = false
}
// Order 'free', readers and tasks, killed at any point.
for (const memory of ['wasm', 'buffer'] as const) {
  const seed = Date.now() % 1e6
  const options = { seconds: kills * SECONDS_PER_KILL, threads: 4, locks: 5, memory, seed }
  const { acquisitions, repairs, violations, hangs, ...result } = await torture(options)
  console.log(`anything at once (${memory}, seed ${seed}), ${result.kills} killed:`)
  console.log(`  ${acquisitions} acquisitions, ${repairs} repairs, ${violations} violations`)
  if (violations + hangs > 0) isConsistent = false
}
const { waiting, justWoken, medianMs, longestMs } = await runWaiters(kills, 'wasm', (done) => {
  if (process.stderr.isTTY) process.stderr.write(`\rwaiters: ${done} of ${kills} killed `)
})
if (process.stderr.isTTY) process.stderr.write('\n')
console.log(
  `killed while they waited ${waiting}, just woken ${justWoken}: nobody behind them hung;`,
)
console.log(
  `  the lock had its next holder after ${medianMs.toFixed(1)} ms, at most ${longestMs.toFixed(1)} ms`,
)
process.exitCode = isConsistent ? 0 : 1
