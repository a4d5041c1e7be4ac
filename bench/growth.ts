/** Does a request cost more where there are more of them: waiters, names in use, names in one request? */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Guard, LockManager } from '../src/index.ts'
import { divided } from './cells.ts'
import { measureInTurn, medianRatio } from './compare.ts'
import { grouped, median, type Setting, table } from './question.ts'

/** One way of growing: the same work among few and among many. */
interface Growth {
  readonly id: string
  readonly few: number
  readonly many: number
  /** Does the work so often among so many; the nanoseconds for one, without what is set up first. */
  readonly measure: (among: number, times: number) => Promise<number>
}

const GROWTHS: readonly Growth[] = [
  { id: 'waiters on one name', few: 10, many: 100_000, measure: amongWaiters },
  { id: 'names in use, and one more', few: 10, many: 1_000_000, measure: amongNames },
  { id: 'names in use, any of them', few: 10, many: 1_000_000, measure: anyOfNames },
  { id: 'names in one request, for each', few: 2, many: 500, measure: ofManyNames },
]
const TIMES = 200_000
const REPETITIONS = 3

export async function growth({ size, tick }: Setting): Promise<string> {
  const rows: string[][] = []
  for (const { id, few, many, measure } of GROWTHS) {
    const times = divided(TIMES, size, 1000)
    const sizes = [few, Math.max(few, divided(many, size))]
    const measures = sizes.map((among) => () => measure(among, times))
    const costs = await measureInTurn(measures, size.rounds * REPETITIONS, tick)
    const [atFew = [], atMany = []] = costs
    const ratio = medianRatio(atMany, atFew)
    rows.push([
      id,
      ...sizes.flatMap((among, i) => [grouped(among), grouped(median(costs[i] ?? []))]),
      ratio.toFixed(2),
    ])
  }
  return [
    '## Growth on one event loop',
    table(['among', 'few', 'ns', 'many', 'ns', 'ratio'], rows),
    'Nanoseconds to ask for a lock, have it granted and release it, among few and among many, in turn; ' +
      'medians. Any one of a million names is a look-up that misses the processor’s caches.',
  ].join('\n\n')
}

/** All wait; then each is granted by the release of the one before it. */
async function amongWaiters(waiters: number, times: number): Promise<number> {
  const locks = new LockManager()
  let ns = 0
  let left = times
  for (; left > 0; left -= waiters) {
    const first = await locks.acquire('account:7')
    const queue: Promise<Guard>[] = []
    for (let i = 0; i < waiters; i++) queue.push(locks.acquire('account:7'))
    if (left === times || waiters > 1000) collectGarbage()
    const start = performance.now()
    first.release()
    for (let i = 0; i < waiters; i++) (await (queue[i] as Promise<Guard>)).release()
    ns += (performance.now() - start) * 1e6
  }
  return ns / (times - left)
}

async function amongNames(names: number, times: number): Promise<number> {
  const locks = new LockManager()
  const held = holdAll(locks, names)
  collectGarbage()
  const start = performance.now()
  for (let i = 0; i < times; i++) (await locks.acquire('account:one more')).release()
  const ns = ((performance.now() - start) * 1e6) / times
  for (const guard of held) guard.release()
  return ns
}

async function anyOfNames(names: number, times: number): Promise<number> {
  const locks = new LockManager()
  const held = holdAll(locks, names)
  collectGarbage()
  let at = 0
  const start = performance.now()
  for (let i = 0; i < times; i++) {
    // A step that meets every name before it meets one again.
    at = (at + 7919) % names
    const { name } = held[at] as Guard
    held[at]?.release()
    held[at] = await locks.acquire(name)
  }
  const ns = ((performance.now() - start) * 1e6) / times
  for (const guard of held) guard.release()
  return ns
}

async function ofManyNames(names: number, times: number): Promise<number> {
  const locks = new LockManager()
  const wanted = Array.from({ length: names }, (_, i) => `account:${i}`)
  const requests = Math.ceil(times / names)
  collectGarbage()
  const start = performance.now()
  for (let i = 0; i < requests; i++) (await locks.acquire(wanted)).release()
  return ((performance.now() - start) * 1e6) / requests / names
}

/** So that what the set-up has left is not collected while the work is timed. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  ;(runInNewContext('gc') as () => void)()
}

function holdAll(locks: LockManager, names: number): Guard[] {
  return Array.from({ length: names }, (_, i) => locks.tryAcquire(`account:${i}`) as Guard)
}
