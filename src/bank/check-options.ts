/**
 * Checks the options of a bank and of its runs, before anything starts. Returns one snapshot of them with the
 * defaults filled in, or throws a `LockUsageError` that names the option, the range and the value.
 */

import { LockUsageError } from '../index.ts'
import {
  callback,
  flag,
  isAbortSignal,
  mustBeWhole,
  type Options,
  optionsOf,
  refused,
  whole,
} from './check-values.ts'
import { checkBalances, checkGenerate, checkOrders, MAX_TRANSFERS } from './check-workload.ts'
import type { BankOptions, RunOptions, ThreadOption } from './options.ts'
import { type StrategyName, strategyNames } from './strategies.ts'
import type { Orders } from './workload.ts'

/** Checked options. The balances are a copy, and each other option was read once. */
export interface CheckedRun {
  readonly strategy: StrategyName
  readonly balances: Float64Array
  readonly threads: number
  readonly generate: { readonly seed: number; readonly transfers: number } | undefined
  readonly orders: Orders | undefined
  readonly auditEvery: number
  readonly auditors: number
  readonly gently: boolean
  readonly stripes: number
  readonly repairs: boolean
  readonly onDeadlock: 'stop' | 'retry'
  readonly slowTransfers: number
  readonly warmup: number
  readonly trace: boolean
  readonly accountName: ((account: number) => string) | undefined
  readonly onProgress: ((done: number) => void) | undefined
  readonly signal: AbortSignal | undefined
}

/** Checked options of a bank. */
export interface CheckedBank extends Pick<CheckedRun, BankPart> {
  readonly tellers: number | undefined
}

type BankPart = 'strategy' | 'balances' | 'stripes' | 'repairs'

/** The maximum number of threads in one run: tellers and auditors together. */
const MAX_THREADS = 1000
const MAX_TASKS = 1_000_000
/** The maximum number of owners of a lock table. */
const MAX_TELLERS = 65_535
/** The default number of locks of a striped bank. */
const STRIPES = 64

const BANK_OPTIONS: Readonly<Record<keyof BankOptions, true>> = {
  balances: true,
  strategy: true,
  stripes: true,
  tellers: true,
  repairs: true,
}

/** The options for worker threads with their defaults; tasks accept only the default. */
const THREAD_OPTIONS: Readonly<Record<ThreadOption, number | boolean>> = {
  auditors: 0,
  gently: false,
  repairs: false,
  slowTransfers: 0,
  warmup: 0,
}

const RUN_OPTIONS: Readonly<Record<keyof RunOptions, true>> = {
  strategy: true,
  balances: true,
  threads: true,
  generate: true,
  orders: true,
  auditEvery: true,
  auditors: true,
  gently: true,
  stripes: true,
  repairs: true,
  onDeadlock: true,
  slowTransfers: true,
  warmup: true,
  trace: true,
  accountName: true,
  onProgress: true,
  signal: true,
}

/**
 * Checks the options of `Bank.create`.
 *
 * @throws LockUsageError for an unknown option, or one out of range.
 */
export function checkBank(options: unknown): CheckedBank {
  const given = optionsOf('Bank.create', options, BANK_OPTIONS)
  const { tellers } = given
  if (tellers !== undefined) mustBeWhole('tellers', tellers, 1, MAX_TELLERS)
  return { ...bankPart(given), tellers }
}

/**
 * Checks the options of `runBank` or `runBankOnTasks`.
 *
 * @throws LockUsageError for an unknown option, one out of range, or an option for worker threads given for
 * tasks.
 */
export function checkRun(call: 'runBank' | 'runBankOnTasks', options: unknown): CheckedRun {
  const given = optionsOf(call, options, RUN_OPTIONS)
  const onTasks = call === 'runBankOnTasks'
  const { threads, generate, orders, onDeadlock = 'stop', signal } = given
  const bank = bankPart(given)
  mustBeWhole('threads', threads, 1, onTasks ? MAX_TASKS : MAX_THREADS)
  const auditors = whole(given, 'auditors', MAX_THREADS - threads)
  if (onDeadlock !== 'stop' && onDeadlock !== 'retry') {
    throw refused('onDeadlock', "'stop' or 'retry'", onDeadlock)
  }
  if (signal !== undefined && !isAbortSignal(signal)) {
    throw refused('signal', 'an AbortSignal', signal)
  }
  const checked: CheckedRun = {
    ...bank,
    threads,
    generate: generate === undefined ? undefined : checkGenerate(generate),
    orders: orders === undefined ? undefined : checkOrders(orders, bank.balances.length, onTasks),
    auditEvery: whole(given, 'auditEvery', Number.MAX_SAFE_INTEGER),
    auditors,
    gently: flag(given, 'gently'),
    onDeadlock,
    slowTransfers: whole(given, 'slowTransfers', Number.MAX_SAFE_INTEGER),
    warmup: whole(given, 'warmup', MAX_TRANSFERS),
    trace: flag(given, 'trace'),
    accountName: callback<CheckedRun['accountName']>(given, 'accountName'),
    onProgress: callback<CheckedRun['onProgress']>(given, 'onProgress'),
    signal,
  }
  mustHaveOneSource(checked)
  if (onTasks) mustBeForTasks(checked)
  return checked
}

function bankPart(given: Options): Pick<CheckedRun, BankPart> {
  const { strategy, stripes } = given
  if (!isStrategy(strategy)) {
    throw refused('strategy', `one of ${strategyNames.join(', ')}`, strategy)
  }
  const balances = checkBalances(given.balances)
  const count = balances.length
  if (stripes !== undefined) mustBeWhole('stripes', stripes, 1, Number.MAX_SAFE_INTEGER)
  if (strategy === 'striped' && stripes !== undefined && stripes > count) {
    throw refused('stripes', `at most ${count}, one for each account`, stripes)
  }
  return {
    strategy,
    balances,
    stripes: stripes ?? Math.min(STRIPES, count),
    repairs: flag(given, 'repairs'),
  }
}

function isStrategy(name: unknown): name is StrategyName {
  return strategyNames.includes(name as StrategyName)
}

function mustHaveOneSource({ generate, orders }: CheckedRun): void {
  if ((generate === undefined) !== (orders === undefined)) return
  const found = generate === undefined ? 'neither' : 'both'
  throw new LockUsageError(
    `a run needs either generate or orders, but ${found} ${found === 'both' ? 'were' : 'was'} given`,
  )
}

function mustBeForTasks(checked: CheckedRun): void {
  for (const [name, usual] of Object.entries(THREAD_OPTIONS)) {
    if (checked[name as ThreadOption] === usual) continue
    throw new LockUsageError(
      `${name} is for worker threads: runBankOnTasks takes only ${usual}; use runBank for more`,
    )
  }
}
