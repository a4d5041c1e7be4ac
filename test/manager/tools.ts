/** Helpers that the tests of the manager share. */

import assert from 'node:assert/strict'
import {
  type DeadlockHeldLock,
  type DeadlockMember,
  type DeadlockReport,
  type Lock,
  LockManager,
  type Scope,
  type SlowReport,
  type SlowWaitReport,
} from '../../src/index.ts'
import { gate, settle } from '../waiting.ts'

/** A manager, the deadlocks that it reports, and the kinds of these reports, in order. */
export function watched(options: ConstructorParameters<typeof LockManager>[0] = {}): {
  readonly locks: LockManager
  readonly reports: DeadlockReport[]
  readonly kinds: ('deadlock' | 'suspected')[]
} {
  const locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false, ...options })
  const reports: DeadlockReport[] = []
  const kinds: ('deadlock' | 'suspected')[] = []
  for (const kind of ['deadlock', 'suspected'] as const) {
    locks.on(kind, (report) => {
      reports.push(report)
      kinds.push(kind)
    })
  }
  return { locks, reports, kinds }
}

/** Asserts that a report is of a long wait, not of a long hold. */
export function waitIn(report: SlowReport | undefined): SlowWaitReport {
  assert.equal(report?.state, 'waiting')
  return report as SlowWaitReport
}

/** For each member of a deadlock, its lock that the previous member waits for. */
export function locksInTheWay(cycle: readonly DeadlockMember[]): DeadlockHeldLock[] {
  return cycle.map(({ holds }, i) => {
    const wanted = cycle.at(i - 1)?.waitsFor.name
    return holds.find(({ name }) => name === wanted) ?? assert.fail(`${wanted} is not held`)
  })
}

/** A callback that must not be called. */
export const no = (): never => assert.fail('called')

/** A request that is granted and ends when the test says so. */
export interface Holder {
  /** The arguments of its callback. */
  readonly lock: Lock
  readonly inside: Scope
  readonly done: Promise<void>
  /** Lets the callback end; returns `done`. */
  end(): Promise<void>
}

/** Holds locks until `end` is called. */
export async function holder(
  locks: Pick<LockManager, 'request'>,
  names: string | string[],
  options: { readonly mode?: 'exclusive' | 'shared'; readonly label?: string } = {},
): Promise<Holder> {
  const [held, over] = [gate(), gate()]
  let given: Pick<Holder, 'lock' | 'inside'> | undefined
  const done = locks.request(names, options, async (lock, inside) => {
    given = { lock, inside }
    held.open()
    await over.opened
  })
  await held.opened
  const end = (): Promise<void> => {
    over.open()
    return done
  }
  return { ...(given as Pick<Holder, 'lock' | 'inside'>), done, end }
}

/** A holder of one lock that requests another one when the test says so. */
export interface Crossing {
  /** Resolves when it has the first lock. */
  readonly held: Promise<void>
  /** Makes it request the second lock; resolves when it has. */
  ask(): Promise<void>
  /** The result of the second request, which the callback awaits: `crossed`. */
  readonly done: Promise<string>
}

/** Requests `first`, and inside its callback `second` as soon as `ask` is called. */
export function crossing(
  locks: Pick<LockManager, 'request'>,
  first: string,
  second: string,
): Crossing {
  const [held, start, asked] = [gate(), gate(), gate()]
  const done = locks.request(first, async () => {
    held.open()
    await start.opened
    asked.open()
    return await locks.request(second, () => 'crossed')
  })
  const ask = (): Promise<void> => {
    start.open()
    return asked.opened
  }
  return { held: held.opened, ask, done }
}

/** Makes `count` requests for some names in turn. Each makes the next, and does not await it. */
export async function startOneAnother(
  locks: LockManager,
  count: number,
  names: readonly string[],
): Promise<void> {
  const done = gate()
  let left = count
  const next = (): void => {
    void locks.request(names[left % names.length] as string, () =>
      --left > 0 ? next() : done.open(),
    )
  }
  next()
  await done.opened
}

/** The names that are held, and those that requests wait for. */
export async function state(locks: LockManager): Promise<{ held: string[]; pending: string[] }> {
  const { held, pending } = await locks.query()
  return { held: held.map(({ name }) => name), pending: pending.map(({ name }) => name) }
}

/** The warnings during `work`, and just after it. */
export async function warningsOf(work: () => Promise<unknown>): Promise<string[]> {
  const warnings: string[] = []
  const hear = ({ name, message }: Error): void => {
    if (name === 'LockwiseWarning') warnings.push(message)
  }
  process.on('warning', hear)
  try {
    await work()
    await settle()
  } finally {
    process.off('warning', hear)
  }
  return warnings
}
