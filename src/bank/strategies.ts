/** The five ways to run the bank: a choice of granularity and order. */

import type { SharedLocksOptions } from '../backends/threads/index.ts'
import { LockUsageError } from '../index.ts'

/** The name of a strategy. */
export type StrategyName = 'unlocked' | 'global' | 'unordered' | 'ordered' | 'striped'

/** How a strategy takes locks for a transfer. */
export type Taking = 'none' | 'payer first' | 'lower first'

/** How an audit reads all balances; see audit.ts. */
export type Auditing = 'unlocked' | 'whole' | 'snapshot'

/** One strategy, as data. */
export interface Strategy {
  readonly name: StrategyName
  /** In a few words, for tables and help. */
  readonly summary: string
  /** Does it promise that no money is lost and no deadlock happens? */
  readonly safe: boolean
  readonly taking: Taking
  /** How it audits with so many locks. */
  readonly auditing: (lockCount: number) => Auditing
  /** The locks of its table, beside the number of records. */
  readonly locks: (stripes: number) => Pick<SharedLocksOptions, 'stripes' | 'order'>
}

/** So many locks are taken whole in about the time that it takes to sum behind them. */
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

/** All names, the lecture's four first and in its sequence. */
export const strategyNames: readonly StrategyName[] = Object.keys(STRATEGIES) as StrategyName[]

/** The lecture's tour: the fault, the coarse cure, the fine cure that deadlocks, the cure of that. */
export const tour: readonly StrategyName[] = ['unlocked', 'global', 'unordered', 'ordered']

/**
 * A strategy by its name.
 *
 * @throws LockUsageError for a name that no strategy has.
 */
export function strategyNamed(name: StrategyName): Strategy {
  if (Object.hasOwn(STRATEGIES, name)) return STRATEGIES[name]
  throw new LockUsageError(`there is no strategy ${String(name)}: use ${strategyNames.join(', ')}`)
}
