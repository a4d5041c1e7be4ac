/** How long does the unluckiest thread wait for one lock that all request all the time? */

import { extname } from 'node:path'
import { SharedLocks } from '../src/backends/threads/index.ts'
import type { ContenderData, ContenderEnd } from './fairness-thread.ts'
import { grouped, type Setting, table } from './question.ts'
import { inThread } from './threads.ts'

/** The number of threads that request the lock exclusively, and shared. */
const CONTENDERS = [
  { alone: 2, shared: 0 },
  { alone: 6, shared: 0 },
  { alone: 3, shared: 3 },
  { alone: 1, shared: 5 },
] as const
const MS = 60_000

export async function fairness({ size, tick }: Setting): Promise<string> {
  const rows: string[][] = []
  for (const { alone, shared } of CONTENDERS) {
    const ends = await contend(alone, shared, MS / size.divisor)
    tick()
    const row = [String(alone), String(shared)]
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
        'alone',
        'shared',
        'fewest, alone',
        'most, alone',
        'longest wait, ms',
        'fewest, shared',
        'most, shared',
        'longest wait, ms',
      ],
      rows,
    ),
    `For ${MS / size.divisor / 1000} s so many threads want one lock alone and so many shared, hold it for ` +
      'a microsecond, and want it again at once: how often the thread got it that had it least and the ' +
      'one that had it most, and the longest wait of any.',
  ].join('\n\n')
}

/** Lets threads contend for one lock for some time. */
async function contend(alone: number, shared: number, ms: number): Promise<ContenderEnd[]> {
  const locks = SharedLocks.create({ count: 1 })
  const words = new Int32Array(new SharedArrayBuffer(8))
  const file = new URL(`./fairness-thread${extname(import.meta.url)}`, import.meta.url)
  const ends = Array.from({ length: alone + shared }, (_, i) => {
    const mode = i < alone ? 'exclusive' : 'shared'
    const data: ContenderData = { handle: locks.handle, words, mode, threads: alone + shared }
    return inThread<ContenderData, ContenderEnd>(file, data)
  })
  while (Atomics.load(words, 0) < alone + shared) await new Promise(setImmediate)
  await new Promise((resolve) => setTimeout(resolve, ms))
  Atomics.store(words, 1, 1)
  return Promise.all(ends)
}
