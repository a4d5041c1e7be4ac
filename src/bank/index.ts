/**
 * `lockwise/bank`: the bank simulation. Accounts, transfers and audits, and their runs under each strategy.
 */

export { Bank, type BankHandle } from './bank.ts'
export { MAX_TRACED, type TracedLock } from './control.ts'
export { AmountError, formatCents, parseCents } from './money.ts'
export type {
  AuditOptions,
  BankOptions,
  OpenBankOptions,
  RunOptions,
  TaskRunOptions,
} from './options.ts'
export {
  breaksPromise,
  lockName,
  MAX_REPORTS,
  type Outcome,
  type RunResult,
} from './result.ts'
export { runBank } from './run.ts'
export {
  type Auditing,
  type Strategy,
  type StrategyName,
  strategyNamed,
  strategyNames,
  type Taking,
  tour,
} from './strategies.ts'
export { runBankOnTasks } from './tasks.ts'
export {
  allocateOrders,
  DONE,
  LECTURE_BALANCES,
  LECTURE_THREADS,
  LECTURE_TRANSFERS,
  lectureBalances,
  type Orders,
  PENDING,
  REFUSED,
} from './workload.ts'
