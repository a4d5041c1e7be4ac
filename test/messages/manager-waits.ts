/** Provokes the errors and reports of waits in the lock manager. */

import { once } from 'node:events'
import {
  deadlockText,
  leakedText,
  possibleDeadlockText,
  slowText,
} from '../../src/explain/index.ts'
import {
  type AcquireOptions,
  type LockEvents,
  LockManager,
  type LockManagerOptions,
} from '../../src/index.ts'
import { ToyBackend } from '../contract/toy-backend.ts'
import { collectUntil } from '../manager/garbage.ts'
import { holder } from '../manager/tools.ts'
import { afterTimers, meeting, rounds, settle } from '../waiting.ts'
import { print, provoke, provokeAlone, provokeWarnings } from './blocks.ts'

const FAST: LockManagerOptions = { deadlockAfterMs: 0, callSites: 'always' }

/** A manager that prints its reports as blocks. */
function printing(how: string, options: LockManagerOptions = {}): LockManager {
  const locks = new LockManager({ ...FAST, trackOrder: false, ...options })
  const printed = new Set<string>()
  const report =
    <Report>(name: string, format: (report: Report) => string) =>
    (given: Report): void => {
      const message = format(given)
      // A wait is reported again after some time: the text differs in numbers only.
      const words = message.replaceAll(/\d+/g, '')
      if (printed.has(words)) return
      printed.add(words)
      print(how, { name: `report: ${name}`, message })
    }
  locks.on('deadlock', report('deadlock', deadlockText))
  locks.on('suspected', report('suspected', deadlockText))
  locks.on('possible', report('possible', possibleDeadlockText))
  locks.on('slow', report('slow', slowText))
  locks.on('leaked', report('leaked', leakedText))
  return locks
}

/** Resolves after the next report of a kind, and what may follow it at once. */
function reported(locks: LockManager, kind: keyof LockEvents): Promise<void> {
  return new Promise((resolve) => {
    locks.on(kind, () => void rounds().then(resolve))
  })
}

/** A signal that gives up a wait after the next report of a kind. */
function untilReported(locks: LockManager, kind: keyof LockEvents): AbortSignal {
  const controller = new AbortController()
  void reported(locks, kind).then(() => controller.abort())
  return controller.signal
}

/** Resolves after the next warning of the process. */
function warned(): Promise<unknown> {
  return once(process, 'warning')
}

/** Requests that are not granted, and holders that lose their locks. */
export async function provokeRefusals(): Promise<void> {
  const locks = new LockManager(FAST)
  const label = 'import job'
  const held = await holder(locks, ['a', 'b'], { label })
  await provoke("acquire('a', { ifAvailable: true }) while another request holds it", () =>
    locks.acquire('a', { ifAvailable: true }),
  )
  await provoke("acquire(['a', 'b'], { timeoutMs, label }) while another request holds them", () =>
    locks.acquire(['a', 'b'], { timeoutMs: 5, label: 'export job' }),
  )
  await held.end()
  const sparse = new LockManager({ callSites: 'never' })
  const unknown = await holder(sparse, 'a')
  await provoke("acquire('a', { timeoutMs }) where call sites are not kept", () =>
    sparse.acquire('a', { timeoutMs: 5 }),
  )
  await unknown.end()
  await provoke("acquire('a', { timeoutMs }) inside a shared holder of it", () =>
    locks.request('a', { mode: 'shared', label }, async () => {
      await locks.acquire('a', { timeoutMs: 5 })
    }),
  )
  const patient = new LockManager({ callSites: 'always' })
  await provoke("acquire('a', { timeoutMs }) inside an exclusive holder of it", () =>
    patient.request('a', { label }, async () => {
      await patient.acquire('a', { timeoutMs: 5 })
    }),
  )
  const nesting = await holder(locks, 'x', { label: 'slow holder' })
  const nested = holder(locks, 'y', { label }).then(async (outer) => {
    const inner = outer.inside.request('x', () => {})
    await settle()
    await provoke("acquire('y', { timeoutMs }) whose holder waits inside", () =>
      locks.acquire('y', { timeoutMs: 5 }),
    )
    await nesting.end()
    await inner
    await outer.end()
  })
  await nested
  await provokeOrder()
  await provokeLosses()
}

/** Requests against a declared order. */
async function provokeOrder(): Promise<void> {
  const locks = new LockManager({ ...FAST, order: ['customer', 'account'] })
  const inside = (
    how: string,
    held: string,
    wanted: string,
    options: { readonly mode?: 'shared'; readonly owner?: object } = {},
  ): Promise<void> =>
    provoke(how, () =>
      locks.request(held, options, () =>
        locks.request(wanted, options.owner ? { owner: options.owner } : {}, () => {}),
      ),
    )
  await inside('a lower class inside a higher one', 'account:1', 'customer:1')
  await inside('a second name of a class inside the first', 'account:2', 'account:1')
  await inside('the same lock again', 'account:1', 'account:1')
  await inside('the same lock exclusively inside shared', 'account:1', 'account:1', {
    mode: 'shared',
  })
  await inside('a lower class with an owner', 'account:1', 'customer:1', { owner: {} })
  const owner = {}
  const guard = await locks.acquire('account:1', { owner })
  await provoke('a lower class with the owner of a guard', () =>
    locks.acquire('customer:1', { owner }),
  )
  guard.release()
}

/** Holders that lose their locks. */
async function provokeLosses(): Promise<void> {
  const locks = new LockManager(FAST)
  const thief = (): Promise<void> => locks.request('b', { steal: true, label: 'thief' }, () => {})
  await provoke('request(…) whose lock another request steals', () =>
    locks.request(['a', 'b'], { label: 'victim' }, async () => await thief()),
  )
  const toy = new ToyBackend()
  const remote = new LockManager({ ...FAST, backend: toy })
  await provoke('request(…) whose lock the backend loses', () =>
    remote.request('a', { label: 'victim' }, async () => {
      toy.lose('a', new Error('the lease has expired'))
      await settle()
    }),
  )
  await provoke('request(…) whose lock a client elsewhere steals', () =>
    remote.request('c', { label: 'victim' }, async () => {
      const by = { label: 'thief elsewhere', since: 0, callSite: 'main (other.js:1:2)' }
      for (const one of toy.lock('c').holders()) one.lost({ kind: 'stolen', by })
      await settle()
    }),
  )
  const release = (): Promise<never> => Promise.reject(new Error('connection reset'))
  const failing = new LockManager({ backend: Object.assign(new ToyBackend(), { release }) })
  await provokeWarnings('a backend that fails to release', () => failing.request('b', () => {}))
}

/** Takes two locks one inside the other, in both orders, at the same time. */
async function cross(
  locks: LockManager,
  names: readonly string[],
  ask: (locks: LockManager, name: string) => Promise<unknown>,
  mode: 'exclusive' | 'shared' = 'exclusive',
): Promise<void> {
  const meet = meeting(names.length)
  const results = await Promise.allSettled(
    names.map((name, i) =>
      locks.request(mode === 'shared' ? 'a' : name, { mode, label: `task ${i + 1}` }, async () => {
        await meet()
        await ask(locks, mode === 'shared' ? 'a' : (names[(i + 1) % names.length] as string))
      }),
    ),
  )
  for (const one of results) {
    if (one.status === 'rejected' && one.reason.code === 'LOCK_DEADLOCK') {
      print('the error of the victim', one.reason)
    }
  }
}

const ask = (locks: LockManager, name: string): Promise<unknown> => locks.request(name, () => {})
/** Nothing proves that the callback waits for this request: its promise has a second reaction. */
const askUnproved = (locks: LockManager, name: string): Promise<unknown> => {
  const asked = locks.request(name, { signal: untilReported(locks, 'suspected') }, () => {})
  asked.catch(() => {})
  return asked.then(
    () => {},
    () => {},
  )
}

/** Deadlocks, proved and suspected. */
export async function provokeDeadlocks(): Promise<void> {
  await cross(printing('two tasks take two locks in opposite orders'), ['a', 'b'], ask)
  const many = Array.from({ length: 12 }, (_, i) => `account:${i}`)
  await cross(printing('a cycle of twelve tasks'), many, ask)
  const upgrading = printing('two shared holders ask for the lock exclusively')
  await cross(upgrading, ['a', 'b'], ask, 'shared')
  const again = printing('a callback asks for its own lock again')
  await provoke('a callback asks for its own lock again', () =>
    again.request('a', async () => await again.request('a', () => {})),
  )
  const owned = printing('two parallel tasks with one owner')
  const owner = {}
  const first = await owned.acquire('a', { owner, label: 'step 1' })
  await provoke("acquire('a', { owner }) while another task with this owner holds it", () =>
    owned.acquire('a', { owner, label: 'step 2' }),
  )
  first.release()
  const sampled = printing('two tasks, where call sites are not kept', { callSites: 'never' })
  await cross(sampled, ['a', 'b'], ask)
  const suspected = printing('two tasks whose waits are not proved')
  await cross(suspected, ['a', 'b'], askUnproved)
  const likely = printing("two tasks, with deadlockVictims: 'likely'", {
    deadlockVictims: 'likely',
  })
  await cross(likely, ['a', 'b'], askUnproved)
  const own = printing('a callback may wait for its own lock')
  await own.request('a', () => askUnproved(own, 'a'))
  const ownLikely = printing('the same with likely victims', { deadlockVictims: 'likely' })
  await provoke('a callback that probably waits for its own lock, with likely victims', () =>
    ownLikely.request('a', { label: 'task' }, async () => {
      const asked = ownLikely.request('a', () => {})
      asked.catch(() => {})
      await asked
    }),
  )
  const kept = printing('two tasks, with deadlockAfterMs: Infinity', {
    deadlockAfterMs: Number.POSITIVE_INFINITY,
  })
  const signal = untilReported(kept, 'deadlock')
  await cross(kept, ['a', 'b'], (locks, name) => locks.request(name, { signal }, () => {}))
  const remote = new LockManager({ ...FAST, backend: new ToyBackend() })
  await cross(remote, ['a', 'b'], ask)
  await provokeOrders()
}

/** Contradictory orders. */
async function provokeOrders(): Promise<void> {
  const orders = printing('two locks are taken in both orders, one after the other', {
    trackOrder: true,
  })
  const nest = (locks: LockManager, first: string, second: string): Promise<void> =>
    locks.request(first, () => locks.request(second, () => {}))
  for (let i = 0; i < 12; i++) {
    await nest(orders, `a${i}:1`, `b${i}:1`)
    await nest(orders, `b${i}:1`, `a${i}:1`)
  }
  const names = printing('two names of a class, without call sites', {
    trackOrder: true,
    callSites: 'never',
  })
  await nest(names, 'a:1', 'a:2')
  await nest(names, 'a:2', 'a:1')
  await settle()
}

/** Waits and holdings that last long, guards that are not released. */
export async function provokeSlow(): Promise<void> {
  const slow = printing('a holding outlasts its warnAfterMs')
  await slow.request(['a', 'b'], { warnAfterMs: 5, label: 'import job' }, () =>
    reported(slow, 'slow'),
  )
  const waits = printing('two requests wait longer than longWaitMs', { longWaitMs: 10 })
  const held = await holder(waits, ['a', 'b'], { label: 'import job' })
  const waiting = ['export job', 'audit'].map((label) => waits.request('a', { label }, () => {}))
  await reported(waits, 'slow')
  await held.end()
  await Promise.all(waiting)
  const upgrade = printing('a shared holder waits for the lock exclusively', {
    longWaitMs: 10,
    deadlockAfterMs: Number.POSITIVE_INFINITY,
  })
  await upgrade
    .request('a', { mode: 'shared' }, () =>
      upgrade.request('a', { signal: untilReported(upgrade, 'slow') }, () => {}),
    )
    .catch(() => {})
  await provokeGuardCycles()
  await provokeLeak()
  await provokeWarnings('a wait longer than longWaitMs, without a listener', async () => {
    const locks = new LockManager({ longWaitMs: 10, callSites: 'always' })
    const one = await holder(locks, 'a', { label: 'import job' })
    const other = locks.request('a', { label: 'export job' }, () => {})
    await warned()
    await one.end()
    await other
  })
  await provokeWarnings(
    'ten guards of one line outlast warnAfterMs, without a listener',
    async () => {
      const locks = new LockManager({ callSites: 'always' })
      const warnAfterMs = 1
      // A timer of the same length that is set later fires later.
      const hold = (): Promise<void> => afterTimers(warnAfterMs)
      for (let i = 0; i < 10; i++) await locks.request('a', { warnAfterMs }, hold)
    },
  )
}

/** Takes a guard and releases it, unless the wait is given up. */
async function askAndRelease(
  locks: LockManager,
  name: string,
  options: AcquireOptions,
): Promise<void> {
  try {
    const guard = await locks.acquire(name, options)
    guard.release()
  } catch {
    // The wait was given up.
  }
}

/** Guards without an owner that may form a cycle. */
async function provokeGuardCycles(): Promise<void> {
  const options = { longWaitMs: 20 }
  const two = async (how: string, owners: readonly [boolean, boolean]): Promise<void> => {
    const locks = printing(how, options)
    const task = async (first: string, second: string): Promise<void> => {
      const owner = {}
      const guard = await locks.acquire(first, owners[0] ? { owner } : {})
      await settle()
      const signal = untilReported(locks, 'slow')
      await askAndRelease(locks, second, owners[1] ? { owner, signal } : { signal })
      guard.release()
    }
    await Promise.all([task('a', 'b'), task('b', 'a')])
  }
  await two('two tasks take guards in opposite orders', [false, false])
  await two('two tasks forget the owner for the second guard', [true, false])
  await two('two tasks have an owner for the second guard only', [false, true])
  const twice = async (how: string, mode: 'exclusive' | 'shared'): Promise<void> => {
    const locks = printing(how, options)
    const label = 'import job'
    const guard = await locks.acquire('a', { mode, label })
    await askAndRelease(locks, 'a', { label, signal: untilReported(locks, 'slow') })
    guard.release()
  }
  await twice('a task waits for its own guard', 'exclusive')
  await twice('a task waits exclusively for its own shared guard', 'shared')
  const locks = printing('a callback forgets the owner of its guard', options)
  await locks.request('root', async () => {
    const guard = await locks.acquire('c', { owner: {} })
    await locks.request('c', { signal: untilReported(locks, 'slow') }, () => {}).catch(() => {})
    guard.release()
  })
}

/** A guard that is dropped without `release()`. */
async function provokeLeak(): Promise<void> {
  let isReported = false
  const locks = printing('a guard is garbage-collected without release()')
  locks.on('leaked', () => {
    isReported = true
  })
  const leak = async (): Promise<void> => {
    await locks.acquire(['a', 'b'], { label: 'import job' })
  }
  await leak()
  void locks.request('b', () => {})
  await collectUntil(() => isReported)
  await locks.request(['a', 'b'], { steal: true }, () => {})
}

/** Messages that need a process of their own. */
export function provokeInProcesses(): void {
  provokeAlone(
    'the event loop runs empty while requests wait',
    `await lockwise.locks.acquire('a', { label: 'step 1' })
    for (let i = 0; i < 30; i++) void lockwise.locks.request('a', { label: 'step 2' }, () => {})`,
  )
  provokeAlone(
    'the event loop runs empty while a task waits for its own guard',
    `await lockwise.locks.acquire('a', { label: 'job' })
    void lockwise.locks.acquire('a', { label: 'job' })`,
  )
  provokeAlone('another value stands where the copies of the package share their manager', '', {
    setup: "globalThis[Symbol.for('lockwise.locks@0')] = 7",
  })
  provokeAlone(
    'a report without a listener, where there is no process',
    `const locks = new lockwise.LockManager()
    await locks.request('a', (_, inside) => inside.request('b', () => {}))
    await locks.request('b', (_, inside) => inside.request('a', () => {}))`,
    { setup: 'console.error(); globalThis.process = undefined' },
  )
}
