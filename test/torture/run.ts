/**
 * Tortures the locks and prints the result: `npm run torture -- --minutes N`. With `--storms N`, runs N
 * rounds of deadlocks among asynchronous holders instead.
 */

import { parseArgs } from 'node:util'
import { storm } from './storm.ts'
import { torture } from './torture.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    storms: { type: 'string' },
    threads: { type: 'string', default: '6' },
    locks: { type: 'string', default: '5' },
    memory: { type: 'string', default: 'wasm' },
    seed: { type: 'string', default: String(Date.now() % 1e6) },
  },
})
if (values.storms === undefined) await tortureFor(Number(values.minutes) * 60)
else await stormFor(Number(values.storms))

async function stormFor(rounds: number): Promise<void> {
  const began = performance.now()
  const { deadlocks, innocent, faults } = await storm({
    rounds,
    groups: 60,
    threads: 3,
    seed: Number(values.seed),
    onTick: (round, found) => {
      if (!process.stderr.isTTY) return
      process.stderr.write(`\r${round} of ${rounds} rounds, ${found} deadlocks `)
    },
  })
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')
  console.log(
    `${deadlocks.toLocaleString('en-US')} deadlocks with one victim each, ` +
      `${innocent.toLocaleString('en-US')} groups that only look like one with none, ${faults.length} faults; ` +
      `${((performance.now() - began) / 1000).toFixed(0)} s, seed ${values.seed}`,
  )
  for (const fault of faults) console.log(fault)
  process.exitCode = faults.length === 0 ? 0 : 1
}

async function tortureFor(seconds: number): Promise<void> {
  const result = await torture({
    seconds,
    threads: Number(values.threads),
    locks: Number(values.locks),
    memory: values.memory === 'buffer' ? 'buffer' : 'wasm',
    seed: Number(values.seed),
    onTick: (gone, kills) => {
      if (!process.stderr.isTTY) return
      process.stderr.write(`\r${gone.toFixed(0)} of ${seconds} s, ${kills} killed `)
    },
  })
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')
  const ms = (value: number): string => `${value.toFixed(1)} ms`
  console.log(
    [
      `${result.acquisitions.toLocaleString('en-US')} acquisitions (${result.shared.toLocaleString('en-US')} of them with shared locks,`,
      `${result.asynchronous.toLocaleString('en-US')} asynchronous), ${result.violations} violations, ${result.hangs} hangs,`,
      `longest wait ${ms(result.longestWaitMs)} exclusive and ${ms(result.longestSharedWaitMs)} shared,`,
      `${result.sleeps.toLocaleString('en-US')} sleeps, ${result.timeouts.toLocaleString('en-US')} timeouts,`,
      `${result.deadlocks.toLocaleString('en-US')} deadlocks, ${result.kills.toLocaleString('en-US')} kills,`,
      `${result.repairs.toLocaleString('en-US')} repairs; ${result.seconds.toFixed(0)} s, seed ${values.seed}`,
    ].join(' '),
  )
  process.exitCode = result.violations === 0 && result.hangs === 0 ? 0 : 1
}
