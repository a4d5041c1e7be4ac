/** How long does the unluckiest thread wait for one lock that all request all the time? */

import { extname } from 'node:path'
import { SharedLocks } from '../src/backends/threads/index.ts'
import type { ContenderData, ContenderEnd } from './fairness-thread.ts'
import { grouped, type Setting, table } from './question.ts'
import { inThread } from './threads.ts'

/** The number of threads that request the lock exclusively, and shared. */
const CONTENDERS = [
  { exclusive: 2, shared: 0 },
  { exclusive: 6, shared: 0 },
  { exclusive: 3, shared: 3 },
  { exclusive: 1, shared: 5 },
] as const
const MS = 60_000

export async function fairness({ size, tick }: Setting): Promise<string> {
  const rows: string[][] = []
  for (const { exclusive, shared } of CONTENDERS) {
    const ends = await contend(exclusive, shared, MS / size.divisor)
    tick()
    const row = [String(exclusive), String(shared)]
    for (const mode of ['exclusive', 'shared'] as const) {
      const those = ends.filter((end) => end.mode === mode)
      const counts = those.map((end) => end.acquisitions)
      const longest = Math.max(...those.map((end) => end.longestMs))
      row.push(
        those.length === 0 ? '' : grouped(Math.min(...counts)),
        those.length === 0 ? '' : grouped(Math.max(...counts)),
        those.length === 0 ? '' : longest.toFixed(1),
      )
    }
    rows.push(row)
  }
  return [
    '## Fairness',
    table(
      [
        'exclusive',
        'shared',
        'fewest, exclusive',
        'most, exclusive',
        'longest wait, ms',
        'fewest, shared',
        'most, shared',
        'longest wait, ms',
      ],
      rows,
    ),
    `Each row: for ${MS / size.divisor / 1000} s, these numbers of threads request one lock exclusively and ` +
      'shared, hold it for a microsecond, and request it again at once. The table shows the acquisitions ' +
      'of the threads that got it least and most often, and the longest wait of any thread.',
  ].join('\n\n')
}

/** Lets threads contend for one lock for some time. */
async function contend(exclusive: number, shared: number, ms: number): Promise<ContenderEnd[]> {
  const locks = SharedLocks.create({ count: 1 })
  const words = new Int32Array(new SharedArrayBuffer(8))
  const file = new URL(`./fairness-thread${extname(import.meta.url)}`, import.meta.url)
  const ends = Array.from({ length: exclusive + shared }, (_, i) => {
    const mode = i < exclusive ? 'exclusive' : 'shared'
    const data: ContenderData = { handle: locks.handle, words, mode, threads: exclusive + shared }
    return inThread<ContenderData, ContenderEnd>(file, data)
  })
  while (Atomics.load(words, 0) < exclusive + shared) await new Promise(setImmediate)
  await new Promise((resolve) => setTimeout(resolve, ms))
  Atomics.store(words, 1, 1)
  return Promise.all(ends)
}
