/** Provokes the errors of wrong calls and options of a lock table. */

import { exclusive, SharedLocks, shared } from '../../src/backends/threads/index.ts'
import { provoke, provokeAlone, provokeEach } from './blocks.ts'

const create = SharedLocks.create
const work = (): void => {}

/** Refuses the options of a table, and handles that are not a table's. */
export async function provokeTableOptions(): Promise<void> {
  const header = new SharedArrayBuffer(65_536)
  await provokeEach([
    () => new (SharedLocks as unknown as new () => SharedLocks)(),
    () => create(5 as never),
    () => create({ count: 1, size: 5 } as never),
    () => create({ count: 1, memory: 'shared' as never }),
    () => create({ count: 0 }),
    () => create({ count: 1, owners: 0 }),
    () => create({ count: 1, recordBytes: 9 }),
    () => create({ count: 1, order: 'descending' as never }),
    () => create({ count: 2, stripes: 3 }),
    () => create({ count: 1, reentrant: 1 as never }),
    () => create({ count: 2 ** 30 }),
    () => create({ count: 1, label: 5 as never }),
    () => create({ count: 1, longWaitMs: -1 }),
    () => create({ count: 1, onLongWait: 5 as never }),
    () => create({ count: 1, onOwnerDied: 5 as never }),
    () => SharedLocks.open(5 as never),
    () => SharedLocks.open(undefined as never),
    () => SharedLocks.open({ kind: 'lockwise/threads', memory: {} as never }),
    () => SharedLocks.open(create({ count: 1 }).handle, 5 as never),
    () => SharedLocks.open(create({ count: 1 }).handle, { name: 'main' } as never),
    () => SharedLocks.open({ kind: 'lockwise/threads', memory: new SharedArrayBuffer(7) as never }),
    () => SharedLocks.open({ kind: 'lockwise/threads', memory: header as never }),
  ])
  await provoke('SharedLocks.open(handle) of a table whose header was overwritten', () => {
    const { handle } = create({ count: 1, memory: 'buffer' })
    // The word of the number of owners.
    new Int32Array(handle.memory as unknown as SharedArrayBuffer).fill(0, 2, 8)
    SharedLocks.open(handle)
  })
  await provoke('SharedLocks.open(handle) with memory of another length', () => {
    const { handle } = create({ count: 1, memory: 'buffer' })
    const bytes = new Uint8Array(handle.memory as unknown as SharedArrayBuffer)
    const memory = new SharedArrayBuffer(bytes.length + 8)
    new Uint8Array(memory).set(bytes)
    SharedLocks.open({ kind: 'lockwise/threads', memory: memory as never })
  })
  provokeAlone(
    'lock(1) in a thread that must not block',
    `const locks = threads.SharedLocks.create({ count: 4 })
    await locks.holdAsync([1], () => locks.lock(1))`,
    { setup: "Atomics.wait = () => { throw new TypeError('the thread must not wait') }" },
  )
  provokeAlone(
    'SharedLocks.create({ count: 1 }) without WebAssembly',
    'threads.SharedLocks.create({ count: 1 })',
    { flags: ['--jitless'] },
  )
  for (const memory of ['wasm', 'buffer']) {
    const call = `SharedLocks.create({ count: 2 ** 24, memory: '${memory}' })`
    provokeAlone(
      `${call} where the system has no memory`,
      `const refuse = () => { throw new RangeError('out of memory') }
      WebAssembly.Memory = refuse
      globalThis.SharedArrayBuffer = new Proxy(SharedArrayBuffer, { construct: refuse })
      threads.${call}`,
    )
  }
}

/** Refuses the arguments of calls that take and release locks. */
export async function provokeLockCalls(): Promise<void> {
  const locks = create({ count: 4, label: 'main' })
  const striped = create({ count: 8, stripes: 2, label: 'main' })
  await provokeEach([
    () => locks.lock(4),
    () => locks.lock(shared(1) as never),
    () => locks.lockPair(0, 9),
    () => locks.hold('1' as never, work),
    () => locks.hold([1, 'a' as never], work),
    () => locks.hold([exclusive('a') as never], work),
    () => locks.hold([1], 5 as never),
    () => locks.tryHold([1], 5 as never),
    () => locks.hold([1], 5 as never, work),
    () => locks.hold([1], { timeout: 5 } as never, work),
    () => locks.hold([1], { timeoutMs: -1 }, work),
    () => locks.hold([1], function* () {} as never),
    () => locks.hold([1], (async () => {}) as never),
    () => locks.view(Array as never),
    () => locks.unlock(1),
    () => locks.unlockPair(1, 2),
    () => locks.unlockShared(1),
    () => striped.unlock(5),
    () => locks.recover(1),
    () => locks.hold([1], () => locks.unlock(1)),
    () => locks.hold([1], () => locks.unlockShared(1)),
    () => locks.hold([1], () => locks.unlock(2)),
    () => locks.hold([shared(1)], () => locks.unlock(1)),
    () => locks.hold([2], () => locks.lock(1)),
    () => locks.hold([1], () => locks.lock(1)),
    () => locks.hold([shared(1)], () => locks.lock(1)),
    () => locks.hold([shared(1)], () => locks.lockShared(1)),
    () => striped.hold([1], () => striped.lock(0)),
    () => locks.hold([1], () => locks.close()),
    () => locks.holdAsync([1], () => locks.close()),
    () => locks.holdAsync([1], () => locks.lock(1)),
    () => locks.holdAsync([shared(1)], () => locks.holdAsync([1], work)),
    () => locks.holdAsync([2], () => locks.unlock(2)),
    () => locks.holdAsync([2], () => locks.holdAsync([1], work)),
    () => locks.holdAsync([2], () => locks.holdAsync([2], work)),
  ])
  await provoke('lock(1) in a thread that has opened the table twice and holds lock 1', () => {
    const again = SharedLocks.open(locks.handle, { label: 'main again' })
    again.lock(1)
    try {
      locks.lock(1)
    } finally {
      again.unlock(1)
      again.close()
    }
  })
  await provoke('recover(1) of a lock that has a living holder', () =>
    locks.hold([1], () => locks.recover(1)),
  )
  const closed = create({ count: 1 })
  closed.close()
  await provoke('lock(0) after close()', () => closed.lock(0))
  await provoke('open(handle) of a table whose owners are all in use', () => {
    const full = create({ count: 1, owners: 1 })
    SharedLocks.open(full.handle)
  })
}
