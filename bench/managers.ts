/** The compared lock managers, under one interface: hold names for a callback. */

import AsyncLock from 'async-lock'
import { Mutex } from 'async-mutex'
import pLimit, { type LimitFunction } from 'p-limit'
import { LockManager, type LockManagerOptions } from '../src/index.ts'

/** Runs a callback while it holds a set of names. */
export interface Manager {
  readonly id: string
  readonly hold: (names: readonly string[], work: () => unknown) => Promise<unknown>
}

/** Makes each manager anew, so that a run does not see what an earlier one left. */
export const managers: readonly (() => Manager)[] = [
  () => lockwiseManager('lockwise'),
  asyncMutex,
  asyncLock,
  limited,
  ...('navigator' in globalThis && navigator.locks ? [webLocks] : []),
]

/** lockwise itself. */
export function lockwiseManager(id: string, options?: LockManagerOptions): Manager {
  const locks = new LockManager(options)
  return {
    id,
    hold: (names, work) => locks.request(names.length === 1 ? (names[0] as string) : names, work),
  }
}

/** One mutex for each name, as its users do: mutexes are never removed, and taken one by one. */
function asyncMutex(): Manager {
  const mutexes = new Map<string, Mutex>()
  const of = (name: string): Mutex => {
    const known = mutexes.get(name)
    if (known) return known
    const mutex = new Mutex()
    mutexes.set(name, mutex)
    return mutex
  }
  return { id: 'async-mutex', hold: oneByOne((name, work) => of(name).runExclusive(work)) }
}

function asyncLock(): Manager {
  const lock = new AsyncLock({ maxPending: Number.POSITIVE_INFINITY })
  return {
    id: 'async-lock',
    hold: (names, work) =>
      lock.acquire(names.length === 1 ? (names[0] as string) : [...names], work as () => unknown),
  }
}

/** A limit of one for each name. */
function limited(): Manager {
  const limits = new Map<string, LimitFunction>()
  const of = (name: string): LimitFunction => {
    const known = limits.get(name)
    if (known) return known
    const limit = pLimit(1)
    limits.set(name, limit)
    return limit
  }
  return { id: 'p-limit', hold: oneByOne((name, work) => of(name)(work)) }
}

/** The runtime's own Web Locks. */
function webLocks(): Manager {
  return {
    id: 'Web Locks',
    hold: oneByOne((name, work) => navigator.locks.request(name, work as () => unknown)),
  }
}

/** Takes several names with managers that know only one at a time: nested, in ascending order. */
function oneByOne(
  holdOne: (name: string, work: () => unknown) => Promise<unknown>,
): Manager['hold'] {
  return (names, work) => {
    if (names.length === 1) return holdOne(names[0] as string, work)
    const [first = '', second = ''] = [...names].sort()
    return holdOne(first, () => holdOne(second, work))
  }
}
