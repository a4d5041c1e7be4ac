/** The result of a run, the same for threads and tasks. */

import type { DeadlockReport } from '../index.ts'
import type { CheckedRun } from './check-options.ts'
import type { Counts, TracedLock } from './control.ts'
import { type StrategyName, strategyNamed } from './strategies.ts'

/** The outcome of a run. It is inconsistent if a total differs: money was lost or created. */
export type Outcome = 'consistent' | 'inconsistent' | 'deadlock'

/** The result of a run. Money is in minor units. */
export interface RunResult {
  readonly strategy: StrategyName
  readonly outcome: Outcome
  /** The number of transfers carried out or refused. */
  readonly transfers: number
  readonly refused: number
  readonly audits: number
  readonly failedAudits: number
  readonly totalBefore: number
  readonly totalAfter: number
  /** The time from the first teller's first transfer to the last teller's last, without starting threads. */
  readonly seconds: number
  readonly transfersPerSecond: number
  /** The number of times that a teller slept because a lock was busy. */
  readonly sleeps: number
  /** The number of deadlocks; each was broken by rejecting one transfer. */
  readonly deadlocksBroken: number
  /** The first deadlocks, at most {@link MAX_REPORTS}. */
  readonly deadlocks: readonly DeadlockReport[]
  /** False if the signal ended the run early. */
  readonly complete: boolean
  readonly balances: Float64Array
  /** The locks that tellers took, in order; {@link lockName} explains the numbers. */
  readonly trace: Iterable<TracedLock>
}

/** The maximum number of reports kept for one run; further deadlocks are only counted. */
export const MAX_REPORTS = 1000

/** The name of a lock in a trace: the account behind it, or the lock that accounts share. */
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

/** The figures of a run at its end. */
export interface Ended
  extends Pick<
    RunResult,
    'totalBefore' | 'balances' | 'seconds' | 'sleeps' | 'deadlocks' | 'trace'
  > {
  readonly counts: Counts
}

/** Makes the result of a run that has ended. */
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

/** The number of transfers that a run must carry out. */
export function transfersAsked({ generate, orders, threads }: CheckedRun): number {
  return generate ? generate.transfers * threads : (orders?.from.length ?? 0)
}

/** The sum of all balances. */
export function sum(balances: Float64Array): number {
  return balances.reduce((total, balance) => total + balance, 0)
}

/** Whether an outcome contradicts the strategy's promise. */
export function breaksPromise(result: RunResult): boolean {
  return strategyNamed(result.strategy).safe && result.outcome !== 'consistent'
}
