/** The result of a run: the same, whether threads ran the bank or tasks. */

import type { DeadlockReport } from '../index.ts'
import type { CheckedRun } from './check-options.ts'
import type { Counts, TracedLock } from './control.ts'
import { type StrategyName, strategyNamed } from './strategies.ts'

/** How a run ended: the totals must agree, or money was lost or made. */
export type Outcome = 'consistent' | 'inconsistent' | 'deadlock'

/** The result of a run. Money is in minor units. */
export interface RunResult {
  readonly strategy: StrategyName
  readonly outcome: Outcome
  /** Transfers carried out or refused. */
  readonly transfers: number
  readonly refused: number
  readonly audits: number
  readonly failedAudits: number
  readonly totalBefore: number
  readonly totalAfter: number
  /** From the first teller's first transfer to the last one's last; without starting threads. */
  readonly seconds: number
  readonly transfersPerSecond: number
  /** How often a teller slept because a lock was busy. */
  readonly sleeps: number
  /** How many deadlocks there were; each was broken by rejecting one transfer. */
  readonly deadlocksBroken: number
  /** The first of them, at most {@link MOST_REPORTS}. */
  readonly deadlocks: readonly DeadlockReport[]
  /** False when the signal ended the run early. */
  readonly complete: boolean
  readonly balances: Float64Array
  /** Which teller took which lock, in order; numbers as {@link lockName} explains. */
  readonly trace: Iterable<TracedLock>
}

/** Reports kept of one run; the rest is only counted. */
export const MOST_REPORTS = 1000

/** A lock's name in a trace: the account behind it, or the lock that accounts share. */
export function lockName(
  strategy: StrategyName,
  lock: number,
  accountName: (account: number) => string = defaultName,
): string {
  if (strategy === 'global') return 'the global lock'
  return strategy === 'striped' ? `stripe ${lock}` : accountName(lock - 1)
}

function defaultName(account: number): string {
  return `account ${account}`
}

/** A run's own figures at its end. */
export interface Ended
  extends Pick<
    RunResult,
    'totalBefore' | 'balances' | 'seconds' | 'sleeps' | 'deadlocks' | 'trace'
  > {
  readonly counts: Counts
}

/** The result of a run that has ended. */
export function resultOf(options: CheckedRun, { counts, ...ended }: Ended): RunResult {
  const { strategy, onDeadlock } = options
  const { transfers, refused, audits, failedAudits, deadlocks: deadlocksBroken } = counts
  const { totalBefore, balances, seconds, sleeps, deadlocks, trace } = ended
  const totalAfter = sum(balances)
  const isConsistent = totalAfter === totalBefore && failedAudits === 0
  const isStuck = deadlocksBroken > 0 && onDeadlock !== 'retry'
  return {
    strategy,
    outcome: isStuck ? 'deadlock' : isConsistent ? 'consistent' : 'inconsistent',
    transfers,
    refused,
    audits,
    failedAudits,
    totalBefore,
    totalAfter,
    seconds,
    transfersPerSecond: seconds > 0 ? transfers / seconds : 0,
    sleeps,
    deadlocksBroken,
    deadlocks,
    complete: transfers === transfersAsked(options) || isStuck,
    balances,
    trace,
  }
}

/** How many transfers a run is to carry out. */
export function transfersAsked({ generate, orders, threads }: CheckedRun): number {
  return generate ? generate.transfers * threads : (orders?.from.length ?? 0)
}

/** The sum of all balances. */
export function sum(balances: Float64Array): number {
  return balances.reduce((total, balance) => total + balance, 0)
}

/** Whether an outcome breaks what the strategy promises. */
export function breaksPromise(result: RunResult): boolean {
  return strategyNamed(result.strategy).safe && result.outcome !== 'consistent'
}
