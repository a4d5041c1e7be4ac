/** How much does a request cost on one event loop, compared with the libraries that people use today? */

import { stat } from 'node:fs'
import { LockManager, type LockManagerOptions } from '../src/index.ts'
import { divided, some } from './cells.ts'
import { measureInTurn, medianRatio } from './compare.ts'
import { lockwiseManager, type Manager, managers } from './managers.ts'
import { grouped, median, type Setting, table } from './question.ts'

/** The work for a manager: this many requests, all settled at the end. */
interface Load {
  readonly id: string
  readonly requests: number
  readonly run: (manager: Manager, requests: number) => Promise<unknown>
}

const LOADS: readonly Load[] = [
  { id: 'one free name', requests: 40_000, run: oneAfterAnother(['account:7']) },
  { id: 'two free names', requests: 40_000, run: oneAfterAnother(['account:7', 'account:3']) },
  { id: 'one name, 10 waiters', requests: 40_000, run: together(10) },
  { id: 'one name, 10,000 waiters', requests: 40_000, run: together(10_000) },
  { id: 'two of 1,000 names, 100 tasks', requests: 40_000, run: atRandom(1000, 100) },
]
const REPETITIONS = 3

export async function requests(setting: Setting): Promise<string> {
  await behaveLikeAProgram()
  return [
    '## Requests on one event loop',
    await besideOthers(setting),
    'Nanoseconds for a request with an empty callback, from the call until its promise has settled, and ' +
      'in brackets how many times lockwise would fit into it. Those that know one name at a time take ' +
      'two nested, in ascending order. Managers in turn, medians; the ratio is taken within a round.',
    await ownOperations(setting),
    'The same for what lockwise offers beside: `nested` is a request within the callback of another ' +
      '(with the order graph and without), in nanoseconds for the two of them.',
  ].join('\n\n')
}

/**
 * Makes requests in callbacks of timers, files and other sources, as every program does. Below version 24, Node
 * runs code of its own at each promise. Until that code has seen several sources, V8 compiles it for promises
 * only, and all requests are faster than in any program.
 */
async function behaveLikeAProgram(): Promise<void> {
  const locks = new LockManager()
  const sources: ((callback: () => void) => unknown)[] = [
    (callback) => setTimeout(callback, 1),
    setImmediate,
    process.nextTick,
    queueMicrotask,
    (callback) => stat('.', callback),
    ofMessage,
  ]
  const twoRequests = (): Promise<unknown> =>
    Promise.all([locks.request('account:7', nothing), locks.request('account:7', nothing)])
  for (let i = 0; i < 20; i++) {
    for (const source of sources) {
      await new Promise<void>((resolve) => source(() => void twoRequests().then(() => resolve())))
    }
  }
}

function ofMessage(callback: () => void): void {
  const { port1, port2 } = new MessageChannel()
  port1.onmessage = () => {
    port1.close()
    callback()
  }
  port2.postMessage(undefined)
}

async function besideOthers({ size, tick }: Setting): Promise<string> {
  const ids = managers.map((make) => make().id)
  const rows: string[][] = []
  for (const load of some(LOADS, size)) {
    const count = divided(load.requests, size, 100)
    const measures = managers.map((make) => async () => {
      const manager = make()
      // Warms up, so that work left by the manager before is not timed.
      await load.run(manager, count / 4)
      return (await timed(() => load.run(manager, count))) / count
    })
    const times = await measureInTurn(measures, size.rounds * REPETITIONS, tick)
    const [own = []] = times
    rows.push([
      load.id,
      ...times.map((each, i) => {
        const ratio = medianRatio(each, own)
        return grouped(median(each)) + (i === 0 ? '' : ` (${ratio.toFixed(1)})`)
      }),
    ])
  }
  return table(['ns for a request', ...ids], rows)
}

async function ownOperations({ size, tick }: Setting): Promise<string> {
  const count = divided(200_000, size, 100)
  const operations = [
    { id: 'tryAcquire and release', run: tryAcquire },
    { id: 'acquire and release', run: acquire },
    { id: 'nested', run: nested({}) },
    { id: 'nested, trackOrder: false', run: nested({ trackOrder: false }) },
  ]
  const measures = operations.map(
    ({ run }) =>
      async () =>
        (await timed(() => run(count))) / count,
  )
  const times = await measureInTurn(measures, size.rounds * REPETITIONS, tick)
  const [tracked = [], plain = []] = times.slice(-2)
  const ratio = medianRatio(tracked, plain)
  const rows = operations.map(({ id }, i) => [id, grouped(median(times[i] ?? []))])
  return table(
    ['lockwise', 'ns'],
    [...rows, ['the order graph costs', `${ratio.toFixed(2)} times`]],
  )
}

function oneAfterAnother(names: readonly string[]): Load['run'] {
  return async ({ hold }, requests) => {
    for (let i = 0; i < requests; i++) await hold(names, nothing)
  }
}

/** Makes this many requests for one name at once, repeatedly. */
function together(waiters: number): Load['run'] {
  return async ({ hold }, requests) => {
    const names = ['account:7']
    const most = Math.min(waiters, requests)
    for (let left = requests; left > 0; left -= most) {
      const all: Promise<unknown>[] = []
      for (let i = 0; i < most; i++) all.push(hold(names, nothing))
      await Promise.all(all)
    }
  }
}

function atRandom(names: number, tasks: number): Load['run'] {
  return async ({ hold }, requests) => {
    let seed = 7
    const next = (): string => {
      seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff
      return `account:${(seed >> 8) % names}`
    }
    const task = async (): Promise<void> => {
      for (let i = 0; i < requests / tasks; i++) {
        const first = next()
        let second = next()
        while (second === first) second = next()
        await hold([first, second], step)
      }
    }
    await Promise.all(Array.from({ length: tasks }, task))
  }
}

async function tryAcquire(count: number): Promise<void> {
  const locks = new LockManager()
  for (let i = 0; i < count; i++) locks.tryAcquire('account:7')?.release()
}

async function acquire(count: number): Promise<void> {
  const locks = new LockManager()
  for (let i = 0; i < count; i++) (await locks.acquire('account:7')).release()
}

function nested(options: LockManagerOptions): (count: number) => Promise<void> {
  return async (count) => {
    const { hold } = lockwiseManager('', options)
    for (let i = 0; i < count; i++) {
      await hold(['customer:1'], () => hold(['account:7'], nothing))
    }
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return (performance.now() - start) * 1e6
}

function nothing(): void {}

/** Lets other tasks run while it holds. */
async function step(): Promise<void> {
  await undefined
}
