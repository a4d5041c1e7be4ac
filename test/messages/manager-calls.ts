/** Provokes the errors of wrong calls of the lock manager. */

import { Guard, Lock, LockManager, shared } from '../../src/index.ts'
import { ToyBackend } from '../contract/toy-backend.ts'
import { provoke, provokeEach, provokeWarnings } from './blocks.ts'

const locks = new LockManager()
const work = (): void => {}

/** Refuses the arguments of `request()`, `acquire()` and `tryAcquire()`. */
export async function provokeWrongCalls(): Promise<void> {
  await provokeEach([
    () => locks.request('a', 5 as never, work),
    () => locks.request('a', 'b' as never, work),
    () => locks.acquire(['a'], 'b' as never),
    () => locks.acquire('a', work as never),
    () => locks.acquire('a', { timeout: 5 } as never),
    () => locks.acquire('a', { priority: 5 } as never),
    () => locks.acquire('a', { steal: true } as never),
    () => locks.acquire('a', { stael: true } as never),
    () => locks.tryAcquire('a', { timout: 5 } as never),
    () => locks.request('a', { mode: 'read' as never }, work),
    () => locks.request('a', { mode: Symbol('read') as never }, work),
    () => locks.request('a', { signal: new AbortController() as never }, work),
    () => locks.request('a', { signal: 5 as never }, work),
    () => locks.request('a', { timeoutMs: -1 }, work),
    () => locks.request('a', { label: 5 as never }, work),
    () => locks.request('a', { owner: 5 as never }, work),
    () => locks.request('a', { owner: locks, detached: true }, work),
    () => locks.request('a', { steal: true, ifAvailable: true }, work),
    () => locks.request('a', { steal: true, mode: 'shared' }, work),
    () => locks.request('a', { steal: true, signal: AbortSignal.timeout(9) }, work),
    () => locks.request('a', { ifAvailable: true, signal: AbortSignal.timeout(9) }, work),
    () => locks.request('a', 5 as never),
    () => locks.request('a', function* () {}),
    () => locks.request(new Set(['a']) as never, work),
    () => locks.request(new Map([['a', 1]]) as never, work),
    () => locks.request(new Uint8Array(2) as never, work),
    () => locks.request((function* () {})() as never, work),
    () => locks.request((async function* () {})() as never, work),
    () => locks.request(Symbol('a') as never, work),
    () => locks.acquire(5 as never),
    () => locks.acquire(['a', 5 as never]),
    () => locks.acquire([{ name: 'a', mode: 'read' } as never]),
    () => locks.acquire(shared(5 as never)),
    () => locks.acquire([]),
    () => locks.acquire(new Array(2000).fill('a')),
    () => locks.acquire('a'.repeat(70_000)),
    () => locks.acquire('-a'),
    () => (locks.request as (...args: unknown[]) => unknown).call({}, 'a', work),
    () => LockManager.prototype.acquire.call({} as never, 'a'),
    () => new Guard(...([] as never as ConstructorParameters<typeof Guard>)),
    () => new Lock(...([] as never as ConstructorParameters<typeof Lock>)),
    () => locks.on('slows' as never, work),
    () => locks.on('slow', 5 as never),
  ])
  await provokeWarnings("locks.request('a', { timeout: 5, priority: 5 }, work)", () =>
    locks.request('a', { timeout: 5, priority: 5 } as never, work),
  )
  await provokeWarnings("locks.request({ name: 'a' }, work)", () =>
    locks.request({ name: 'a' } as never, work),
  )
}

/** Refuses the options of a manager, and names outside of its declared order. */
export async function provokeWrongOptions(): Promise<void> {
  await provokeEach([
    () => new LockManager(5 as never),
    () => new LockManager({ deadlockAfter: 5 } as never),
    () => new LockManager({ deadlockVictims: 'all' as never }),
    () => new LockManager({ callSites: 'all' as never }),
    () => new LockManager({ longWaitMs: 'long' as never }),
    () => new LockManager({ backend: 5 as never }),
    () => new LockManager({ order: 'a' as never }),
    () => new LockManager({ order: [] }),
    () => new LockManager({ order: ['a:b'] }),
    () => new LockManager({ order: ['a', 'a'] }),
    () => new LockManager({ order: ['customer', 'account'] }).acquire('bank:1'),
  ])
}

/** Refuses what a backend cannot do, and closing a manager that is in use. */
export async function provokeBackendLimits(): Promise<void> {
  const remote = new LockManager({ backend: new ToyBackend() })
  await provoke("acquire('a', { mode: 'shared' }) on a backend without shared locks", () =>
    remote.acquire('a', { mode: 'shared' }),
  )
  await provoke("request('a', { steal: true }, work) on a backend that cannot steal", () =>
    remote.request('a', { steal: true }, work),
  )
  await provoke("tryAcquire('a') on a backend that answers late", () => remote.tryAcquire('a'))
  const asked = remote.acquire('a')
  await provoke('close() while a request is on its way to the backend', () => remote.close())
  const guard = await asked
  await provoke('close() while a guard is held', () => remote.close())
  const waits = locks.acquire('b', { label: 'holder' })
  const held = await waits
  const waiter = locks.acquire('b', { label: 'waiter' })
  await provoke('close() while a request waits', () => locks.close())
  held.release()
  for (const one of [guard, await waiter]) one.release()
}
