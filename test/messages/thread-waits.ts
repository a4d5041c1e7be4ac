/** Provokes the errors and reports of waits between threads. */

import { once } from 'node:events'
import { waitersOf } from '../../src/backends/threads/holders.ts'
import {
  type DeadlockError,
  type OpenOptions,
  SharedLocks,
  shared,
} from '../../src/backends/threads/index.ts'
import { openTable } from '../../src/backends/threads/table.ts'
import { deadlockText } from '../../src/explain/index.ts'
import { holdTooLong } from '../backends/threads/blocked-main.ts'
import { setFlag } from '../backends/threads/programs.ts'
import {
  endHolding,
  flagIsSet,
  inThread,
  newFlags,
  startThread,
  untilWaiting,
} from '../backends/threads/threads.ts'
import { gate, meeting } from '../waiting.ts'
import { print, provoke, provokeAlone, provokeWarnings } from './blocks.ts'

function create(options: OpenOptions & { order?: 'free'; owners?: number } = {}): SharedLocks {
  return SharedLocks.create({ count: 8, label: 'main', owners: 8, ...options })
}

/** Runs `work` while another thread holds some locks. */
async function whileHeld(
  locks: SharedLocks,
  held: { readonly indices: number[]; readonly reads?: number },
  work: () => unknown,
): Promise<void> {
  const flags = newFlags()
  const other = inThread(locks, 'holdUntilFlag', { flags, ...held }, 'teller 1')
  await flagIsSet(flags, 0)
  await work()
  setFlag(flags, 1, 1)
  await other
}

/** Waits that take too long. */
export async function provokeTimeouts(): Promise<void> {
  const locks = create()
  await whileHeld(locks, { indices: [1] }, async () => {
    await provoke('hold([1], { timeoutMs: 120 }) while another thread holds lock 1', () =>
      locks.hold([1], { timeoutMs: 120 }, () => {}),
    )
    await provoke('holdAsync([1], { timeoutMs: 20 }) while another thread holds lock 1', () =>
      locks.holdAsync([1], { timeoutMs: 20 }, () => {}),
    )
  })
  await whileHeld(locks, { indices: [1] }, () =>
    provoke('lock(1) inside holdAsync([2]) while another thread holds lock 1', () =>
      locks.holdAsync([2], () => locks.lock(1)),
    ),
  )
  await whileHeld(locks, { indices: [], reads: 1 }, async () => {
    await provoke('hold([1], { timeoutMs: 20 }) while another thread holds lock 1 shared', () =>
      locks.hold([1], { timeoutMs: 20 }, () => {}),
    )
  })
  const free = create({ order: 'free' })
  await whileHeld(free, { indices: [2] }, async () => {
    const flags = newFlags()
    const asks = inThread(free, 'holdThenAsk', { flags, held: 1, wanted: 2 }, 'teller 2')
    await flagIsSet(flags, 0)
    setFlag(flags, 1, 1)
    await untilWaiting(free, 2)
    await provoke('hold([1], { timeoutMs: 20 }) while its holder waits for lock 2', () =>
      free.hold([1], { timeoutMs: 20 }, () => {}),
    )
    void asks
  })
  await provokeOwners()
}

/** Calls of `holdAsync` that get no owner. */
async function provokeOwners(): Promise<void> {
  await provoke('holdAsync([1]) where threads have all owners', () =>
    create({ owners: 1 }).holdAsync([1], () => {}),
  )
  const locks = create({ owners: 2 })
  const { opened, open } = gate()
  const holding = locks.holdAsync([1], () => opened)
  await provoke(
    'holdAsync([2], { timeoutMs: 20 }) while another holdAsync has the last owner',
    () => locks.holdAsync([2], { timeoutMs: 20 }, () => {}),
  )
  open()
  await holding
  await provoke('holdAsync([3]) inside a holdAsync that has the last owner', () =>
    locks.holdAsync([1], () => locks.holdAsync([3], () => {})),
  )
  await provokeWarnings('holdAsync waits for an owner longer than longWaitMs', async () => {
    const slow = create({ owners: 2, longWaitMs: 10 })
    const first = slow.holdAsync([1], () => once(process, 'warning'))
    await slow.holdAsync([2], () => {})
    await first
  })
}

/** Deadlocks of threads and asynchronous holdings. */
export async function provokeThreadDeadlocks(): Promise<void> {
  const report = async (how: string, call: () => unknown): Promise<void> => {
    await provoke(how, async () => {
      try {
        await call()
      } catch (error) {
        const message = deadlockText((error as DeadlockError).report)
        print(`${how}: its report`, { name: 'report: deadlock', message })
        throw error
      }
    })
  }
  const locks = create({ order: 'free' })
  await report('two threads take locks 1 and 2 in opposite orders', async () => {
    // Each thread can be the victim, whichever sees the whole cycle: repeat until it is this one.
    for (let i = 0; i < 50; i++) await takeInOppositeOrders(locks)
  })
  await report('a thread blocks for a lock of its own holdAsync', () =>
    locks.holdAsync([1], () => locks.lock(1)),
  )
  await report('two tasks take locks 1 and 2 in opposite orders', async () => {
    const meet = meeting(2)
    const cross = (first: number, second: number): Promise<void> =>
      locks.holdAsync([first], async () => {
        await meet()
        await locks.holdAsync([second], () => {})
      })
    const ends = await Promise.allSettled([cross(1, 2), cross(2, 1)])
    for (const one of ends) if (one.status === 'rejected') throw one.reason
  })
}

/** Locks that an ended thread left, and their repair. */
export async function provokeDeaths(): Promise<void> {
  const locks = create()
  await endHolding(locks, 2, 5)
  await provoke('hold([2]) after its holder ended without releasing it', () =>
    locks.hold([2], () => {}),
  )
  locks.recover(2)
  const small = create({ owners: 2 })
  await endHolding(small, 2)
  await provoke('open(handle) where an ended thread has the last owner', () =>
    SharedLocks.open(small.handle),
  )
  await provoke('holdAsync([1]) where an ended thread has the last owner', () =>
    small.holdAsync([1], () => {}),
  )
  const repairing = async (how: string, repair: (own: SharedLocks) => unknown): Promise<void> => {
    const own: SharedLocks = create({
      onOwnerDied: () => repair(own) as undefined,
    })
    await endHolding(own, 2)
    await provoke(how, () => own.hold([2], () => {}))
  }
  await repairing('an asynchronous onOwnerDied', async () => {})
  await repairing('recover(2) in the onOwnerDied that repairs lock 2', (own) => own.recover(2))
  await repairing('onOwnerDied requests the lock that it repairs', (own) => own.lock(2))
  await repairing('onOwnerDied closes the table', (own) => own.close())
  const below: SharedLocks = create({ onOwnerDied: () => below.lock(4) })
  await whileHeld(below, { indices: [4] }, async () => {
    await endHolding(below, 5)
    await provoke('onOwnerDied waits for a lock below the one that it repairs', () =>
      below.hold([5], () => {}),
    )
  })
  const slow = create()
  await endHolding(slow, 2)
  const flags = newFlags()
  const { worker, answer } = startThread(slow, 'repairForever', { flags, index: 2 }, 'teller 1')
  await flagIsSet(flags, 0)
  await provoke('hold([2], { timeoutMs: 20 }) while another thread repairs it', () =>
    slow.hold([2], { timeoutMs: 20 }, () => {}),
  )
  await Promise.all([worker.terminate(), answer.catch(() => {})])
}

/** Waits that last longer than `longWaitMs`. */
export async function provokeLongWaits(): Promise<void> {
  await provokeWarnings('holdAsync waits longer than longWaitMs', async () => {
    const locks = create({ longWaitMs: 10 })
    const first = locks.holdAsync([1], () => once(process, 'warning'))
    const more = [1, 2].map(() => locks.holdAsync([shared(1)], () => {}))
    await Promise.all([first, ...more])
  })
  await provokeWarnings('holdAsync waits for another thread', async () => {
    const locks = create({ longWaitMs: 10 })
    await whileHeld(locks, { indices: [1] }, async () => {
      void locks.holdAsync([1], () => {})
      await once(process, 'warning')
    })
  })
  const locks: SharedLocks = create({
    longWaitMs: 10,
    onLongWait: () => void provoke('close() in onLongWait', () => locks.close()),
  })
  await whileHeld(locks, { indices: [1] }, () => {
    try {
      locks.hold([1], { timeoutMs: 150 }, () => {})
    } catch {
      // The time limit.
    }
  })
  const longWaitMs = 20
  const worker = holdTooLong('teller 1', longWaitMs)
  provokeAlone(
    'the main thread blocks longer than longWaitMs',
    `const { Worker } = process.getBuiltinModule('node:worker_threads')
    const locks = threads.SharedLocks.create({ count: 4, label: 'main', longWaitMs: ${longWaitMs} })
    const worker = new Worker(${JSON.stringify(worker)}, { eval: true, workerData: locks.handle })
    await new Promise((resolve) => worker.once('message', resolve))
    locks.hold(1, () => {})`,
  )
}

/** A thread whose end others cannot see. */
export function provokeNoLifeline(): void {
  const restrict = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission'
  const root = new URL('../../../', import.meta.url).pathname
  const entry = JSON.stringify(new URL('../../src/backends/threads/index.js', import.meta.url).href)
  const worker = `
    const { workerData } = process.getBuiltinModule('node:worker_threads')
    import(${entry}).then(({ SharedLocks }) => SharedLocks.open(workerData).close())`
  for (const tracks of [true, false]) {
    provokeAlone(
      `a worker that may not read /proc opens a table (trackUnmanagedFds: ${tracks})`,
      `const { Worker } = process.getBuiltinModule('node:worker_threads')
      const { handle } = threads.SharedLocks.create({ count: 1 })
      new Worker(${JSON.stringify(worker)},
        { eval: true, workerData: handle, trackUnmanagedFds: ${tracks} })`,
      { flags: [restrict, '--allow-worker', `--allow-fs-read=${root}*`] },
    )
  }
  const create = 'threads.SharedLocks.create({ count: 1 })'
  provokeAlone('SharedLocks.create({ count: 1 }) on an old version of Node', create, {
    setup: 'process.getBuiltinModule = undefined',
  })
  provokeAlone('SharedLocks.create({ count: 1 }) in a worker of an unknown runtime', create, {
    setup:
      'console.error(); globalThis.process = undefined; globalThis.WorkerGlobalScope = class {}',
  })
}

/** Takes locks 1 and 2, while another thread takes 2 and 1. Throws if this thread is the victim. */
async function takeInOppositeOrders(locks: SharedLocks): Promise<void> {
  const flags = newFlags()
  const table = openTable(locks.handle)
  const other = inThread(locks, 'holdThenAsk', { flags, held: 2, wanted: 1 }, 'teller 1')
  await flagIsSet(flags, 0)
  try {
    locks.hold([1], () => {
      setFlag(flags, 1, 1)
      while (waitersOf(table, 1) === 0) Atomics.wait(flags, 3, 0, 1)
      locks.hold([2], () => {})
    })
  } finally {
    await other
  }
}
