/** Does a request cost more with more waiters, more names in use, or more names in one request? */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Guard, LockManager } from '../src/index.ts'
import { divided } from './cells.ts'
import { measureInTurn, medianRatio } from './compare.ts'
import { grouped, median, type Setting, table } from './question.ts'

/** One kind of growth: the same work among few and among many. */
interface Growth {
  readonly id: string
  readonly few: number
  readonly many: number
  /** Does the work this often among so many. Returns the nanoseconds for one, without the set-up. */
  readonly measure: (among: number, times: number) => Promise<number>
}

const GROWTHS: readonly Growth[] = [
  { id: 'waiters on one name', few: 10, many: 100_000, measure: amongWaiters },
  { id: 'holders who wait for one name', few: 10, many: 10_000, measure: amongHolders },
  { id: 'names in use, and one more', few: 10, many: 1_000_000, measure: amongNames },
  { id: 'names in use, any of them', few: 10, many: 1_000_000, measure: anyOfNames },
  { id: 'keys of a bare Map, any of them', few: 10, many: 1_000_000, measure: anyOfKeys },
  { id: 'names in one request, for each', few: 2, many: 500, measure: ofManyNames },
]
const TIMES = 200_000
const REPETITIONS = 3
/** The number of names that requests hold in turn while they wait for another. */
const HELD = 10_000
/**
 * The step of a walk that visits every name once before any repeats, and never two neighbours in succession.
 */
const STEP = 7919

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
      'medians. Waiters have asked before. Holders who wait take two, one nested in the other. To take ' +
      'any one of a million names in turn is to miss the processor’s caches each time, as the bare Map ' +
      'does: there it is one look-up, a step of its entry’s counter and an `await`. A hundred thousand ' +
      'waiters, of some 540 bytes each, were moved by V8’s collector of young objects, and are no ' +
      'longer in the caches: more so the smaller these are, and less with a young generation that ' +
      'need not move them (`node --min-semi-space-size=128 --max-semi-space-size=128 ' +
      'dist/bench/run.js --only growth`).',
  ].join('\n\n')
}

/** All wait; then the release of each grants the next. */
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

/** Each holds a name of its own and waits for one common name, which it gets from the one before. */
async function amongHolders(waiters: number, times: number): Promise<number> {
  const locks = new LockManager()
  let ns = 0
  let done = 0
  while (done < times) {
    if (done === 0 || waiters > 1000) collectGarbage()
    const first = await locks.acquire('bank')
    const start = performance.now()
    const all: Promise<void>[] = []
    for (let i = 0; i < waiters; i++) {
      const own = `account:${(done + i) % HELD}`
      all.push(locks.request(own, (_lock, inside) => inside.request('bank', () => {})))
    }
    // Lets the callbacks begin and make their requests.
    await undefined
    await undefined
    first.release()
    await Promise.all(all)
    ns += (performance.now() - start) * 1e6
    done += waiters
  }
  return ns / done
}

async function amongNames(names: number, times: number): Promise<number> {
  const locks = new LockManager()
  const held = holdAll(locks, names)
  const ns = await timeOf(times, async () => {
    for (let i = 0; i < times; i++) (await locks.acquire('account:one more')).release()
  })
  for (const guard of held) guard.release()
  return ns
}

async function anyOfNames(names: number, times: number): Promise<number> {
  const locks = new LockManager()
  const held = holdAll(locks, names)
  let at = 0
  const ns = await timeOf(times, async () => {
    for (let i = 0; i < times; i++) {
      at = (at + STEP) % names
      const { name } = held[at] as Guard
      held[at]?.release()
      held[at] = await locks.acquire(name)
    }
  })
  for (const guard of held) guard.release()
  return ns
}

/** Uses no locks: measures only the look-up. */
async function anyOfKeys(keys: number, times: number): Promise<number> {
  const names = Array.from({ length: keys }, (_, i) => `account:${i}`)
  const counters = new Map(names.map((name) => [name, { count: 0 }]))
  let at = 0
  return timeOf(times, async () => {
    for (let i = 0; i < times; i++) {
      at = (at + STEP) % keys
      const counter = counters.get(names[at] as string)
      if (counter) counter.count++
      await undefined
    }
  })
}

async function ofManyNames(names: number, times: number): Promise<number> {
  const locks = new LockManager()
  const wanted = Array.from({ length: names }, (_, i) => `account:${i}`)
  const requests = Math.ceil(times / names)
  return timeOf(requests * names, async () => {
    for (let i = 0; i < requests; i++) (await locks.acquire(wanted)).release()
  })
}

/**
 * Returns the nanoseconds for one step of the work, which consists of `steps` steps. Runs the work twice, and
 * times the second run. The set-up's garbage is collected before, but the first run still touches memory by
 * which the heap has grown.
 */
async function timeOf(steps: number, work: () => Promise<void>): Promise<number> {
  collectGarbage()
  await work()
  const start = performance.now()
  await work()
  return ((performance.now() - start) * 1e6) / steps
}

/** Collects the garbage of the set-up, so that it is not collected during the timed work. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  ;(runInNewContext('gc') as () => void)()
}

function holdAll(locks: LockManager, names: number): Guard[] {
  return Array.from({ length: names }, (_, i) => locks.tryAcquire(`account:${i}`) as Guard)
}
