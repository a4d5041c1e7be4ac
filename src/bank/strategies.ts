/** The five strategies of the bank: each a choice of granularity and order. */

import type { SharedLocksOptions } from '../backends/threads/index.ts'
import { LockUsageError } from '../index.ts'

/** The name of a strategy. */
export type StrategyName = 'unlocked' | 'global' | 'unordered' | 'ordered' | 'striped'

/** The order in which a strategy takes the locks of a transfer. */
export type Taking = 'none' | 'payer first' | 'lower first'

/** The kind of audit that reads all balances; see audit.ts. */
export type Auditing = 'unlocked' | 'whole' | 'snapshot'

/** One strategy, as data. */
export interface Strategy {
  readonly name: StrategyName
  /** A short description, for tables and help. */
  readonly summary: string
  /** Whether it promises that no money is lost and no deadlock happens. */
  readonly safe: boolean
  readonly taking: Taking
  /** The kind of audit for this number of locks. */
  readonly auditing: (lockCount: number) => Auditing
  /** The options of its lock table, besides the number of records. */
  readonly locks: (stripes: number) => Pick<SharedLocksOptions, 'stripes' | 'order'>
}

/** Taking this many locks at once takes about as long as summing the accounts that they guard. */
const FEW_LOCKS = 64

const STRATEGIES: Record<StrategyName, Strategy> = {
  unlocked: {
    name: 'unlocked',
    summary: 'no locks: loses money',
    safe: false,
    taking: 'none',
    auditing: () => 'unlocked',
    locks: () => ({ stripes: 1 }),
  },
  global: {
    name: 'global',
    summary: 'one lock for all accounts',
    safe: true,
    taking: 'lower first',
    auditing: () => 'whole',
    locks: () => ({ stripes: 1 }),
  },
  unordered: {
    name: 'unordered',
    summary: "a lock per account, the payer's first: deadlocks",
    safe: false,
    taking: 'payer first',
    auditing: () => 'snapshot',
    locks: () => ({ order: 'free' }),
  },
  ordered: {
    name: 'ordered',
    summary: 'a lock per account, the lower number first',
    safe: true,
    taking: 'lower first',
    auditing: (lockCount) => (lockCount <= FEW_LOCKS ? 'whole' : 'snapshot'),
    locks: () => ({}),
  },
  striped: {
    name: 'striped',
    summary: 'a few locks for all accounts',
    safe: true,
    taking: 'lower first',
    auditing: () => 'whole',
    locks: (stripes) => ({ stripes }),
  },
}

/** All names: the lecture's four first, in its sequence. */
export const strategyNames: readonly StrategyName[] = Object.keys(STRATEGIES) as StrategyName[]

/** The lecture's tour: the fault, the coarse remedy, the fine remedy that deadlocks, the remedy for that. */
export const tour: readonly StrategyName[] = ['unlocked', 'global', 'unordered', 'ordered']

/**
 * Returns a strategy by its name.
 *
 * @throws LockUsageError for an unknown name.
 */
export function strategyNamed(name: StrategyName): Strategy {
  if (Object.hasOwn(STRATEGIES, name)) return STRATEGIES[name]
  throw new LockUsageError(
    `there is no strategy '${String(name)}': use one of ${strategyNames.join(', ')}`,
  )
}
