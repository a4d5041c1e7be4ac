/**
 * Checks the options of a bank and of its runs, before anything is started: one snapshot of them, with
 * the defaults filled in, or a `LockUsageError` that names the option, the range and the value.
 */

import { visible } from '../explain/index.ts'
import { LockUsageError } from '../index.ts'
import type { BankOptions, RunOptions, ThreadOption } from './options.ts'
import { type StrategyName, strategyNames } from './strategies.ts'
import type { Orders } from './workload.ts'

/** Options that were checked. The balances are a copy, and each other option was read once. */
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

/** The same of a bank. */
export interface CheckedBank extends Pick<CheckedRun, BankPart> {
  readonly tellers: number | undefined
}

type BankPart = 'strategy' | 'balances' | 'stripes' | 'repairs'
type Options = Readonly<Record<string, unknown>>

/** Threads of one run: tellers and auditors together. */
const MAX_THREADS = 1000
const MAX_TASKS = 1_000_000
/** A table of locks has no more owners than these. */
const MAX_TELLERS = 65_535
/** A run counts each teller's transfers in 32 bits. */
const MAX_TRANSFERS = 2 ** 31 - 1
const MAX_SEED = 2 ** 32 - 1
/** Locks of a striped bank, by default. */
const STRIPES = 64

const BANK_OPTIONS: Readonly<Record<keyof BankOptions, true>> = {
  balances: true,
  strategy: true,
  stripes: true,
  tellers: true,
  repairs: true,
}

/** Options for worker threads, each with its default: the only value that tasks take. */
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
 * The options of `Bank.create`, checked.
 *
 * @throws LockUsageError for an option out of its range, or one that there is not.
 */
export function checkBank(options: unknown): CheckedBank {
  const given = optionsOf('Bank.create', options, BANK_OPTIONS)
  const { tellers } = given
  if (tellers !== undefined) mustBeWhole('tellers', tellers, 1, MAX_TELLERS)
  return { ...bankPart(given), tellers }
}

/**
 * The options of `runBank` or of `runBankOnTasks`, checked.
 *
 * @throws LockUsageError for an option out of its range, one that there is not, or one that is for
 *   worker threads and given for tasks.
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

/** The options read once, none of them unknown. */
function optionsOf(call: string, options: unknown, known: object): Options {
  if (typeof options !== 'object' || options === null) {
    throw new LockUsageError(`${call} takes its options as an object, not ${show(options)}`)
  }
  const given: Options = { ...options }
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(known, name)) continue
    const names = Object.keys(known).join(', ')
    throw new LockUsageError(`${call} has no option ${show(name)}: its options are ${names}`)
  }
  return given
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

function checkBalances(balances: unknown): Float64Array {
  if (typeof balances !== 'object' || balances === null) {
    throw refused('balances', 'an array of whole numbers', balances)
  }
  const list = balances as ArrayLike<unknown>
  const { length } = list
  if (!isWhole(length, 0, Number.MAX_SAFE_INTEGER)) {
    throw refused('balances', 'an array of whole numbers', balances)
  }
  if (length < 2) throw new LockUsageError(`a bank needs at least 2 accounts, not ${length}`)
  let total = 0
  for (let account = 0; account < length; account++) {
    const balance = list[account]
    mustBeAmount(`the opening balance of account ${account}`, balance)
    total += balance
  }
  mustBeAmount('the total of the opening balances', total)
  return Float64Array.from(list as ArrayLike<number>)
}

function checkGenerate(generate: unknown): { readonly seed: number; readonly transfers: number } {
  if (typeof generate !== 'object' || generate === null) {
    throw refused('generate', 'an object { seed, transfers }', generate)
  }
  const { seed, transfers } = generate as Options
  mustBeWhole('generate.seed', seed, 0, MAX_SEED)
  mustBeWhole('generate.transfers', transfers, 0, MAX_TRANSFERS)
  return { seed, transfers }
}

/** The orders themselves: their outcomes are written there. */
function checkOrders(orders: unknown, accounts: number, onTasks: boolean): Orders {
  if (typeof orders !== 'object' || orders === null) {
    throw refused('orders', 'what allocateOrders gives', orders)
  }
  const { from, to, amounts, outcomes } = orders as Partial<Orders>
  const isTyped =
    from instanceof Int32Array &&
    to instanceof Int32Array &&
    amounts instanceof Float64Array &&
    outcomes instanceof Uint8Array
  if (!isTyped || new Set([from, to, amounts, outcomes].map(({ length }) => length)).size > 1) {
    throw refused('orders', 'four arrays of one length, as allocateOrders gives them', orders)
  }
  if (!onTasks && ![from, to, amounts, outcomes].every(isShared)) {
    throw refused('orders', 'in shared memory, where allocateOrders puts them', orders)
  }
  for (let i = 0; i < from.length; i++) {
    const [payer, payee] = [from[i] as number, to[i] as number]
    mustBeWhole(`orders.from[${i}]`, payer, 0, accounts - 1)
    mustBeWhole(`orders.to[${i}]`, payee, 0, accounts - 1)
    if (payer === payee) throw refused(`orders.to[${i}]`, 'another account than the payer', payee)
    mustBeAmount(`orders.amounts[${i}]`, amounts[i])
  }
  return { from, to, amounts, outcomes }
}

function isShared({ buffer }: { readonly buffer: ArrayBufferLike }): boolean {
  return typeof SharedArrayBuffer !== 'undefined' && buffer instanceof SharedArrayBuffer
}

function mustHaveOneSource({ generate, orders }: CheckedRun): void {
  if ((generate === undefined) !== (orders === undefined)) return
  const found = generate === undefined ? 'neither' : 'both'
  throw new LockUsageError(`a run takes either generate or orders, not ${found}`)
}

function mustBeForTasks(checked: CheckedRun): void {
  for (const [name, usual] of Object.entries(THREAD_OPTIONS)) {
    if (checked[name as ThreadOption] === usual) continue
    throw new LockUsageError(
      `${name} is for worker threads: runBankOnTasks takes only ${usual}; use runBank for more`,
    )
  }
}

/** An optional whole number from 0, which is its default. */
function whole(given: Options, name: keyof RunOptions, most: number): number {
  const value = given[name]
  if (value === undefined) return 0
  mustBeWhole(name, value, 0, Math.max(0, most))
  return value
}

/** An optional boolean, false by default. */
function flag(given: Options, name: keyof RunOptions): boolean {
  const value = given[name]
  if (value === undefined || typeof value === 'boolean') return value ?? false
  throw refused(name, 'true or false', value)
}

function callback<Fn>(given: Options, name: keyof RunOptions): Fn | undefined {
  const value = given[name]
  if (value === undefined || typeof value === 'function') return value as Fn | undefined
  throw refused(name, 'a function', value)
}

/** Whether this is an `AbortSignal` and not only looks like one: its own getter says so. */
function isAbortSignal(value: unknown): value is AbortSignal {
  try {
    const { get } = Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'aborted') ?? {}
    get?.call(value)
    return true
  } catch {
    return false
  }
}

function isWhole(value: unknown, least: number, most: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
}

function mustBeWhole(
  name: string,
  value: unknown,
  least: number,
  most: number,
): asserts value is number {
  if (isWhole(value, least, most)) return
  throw refused(name, `a whole number from ${least} to ${most}`, value)
}

function mustBeAmount(name: string, value: unknown): asserts value is number {
  if (isWhole(value, 0, Number.MAX_SAFE_INTEGER)) return
  const range = `a whole number of minor units from 0 to ${Number.MAX_SAFE_INTEGER}`
  throw refused(name, range, value)
}

function refused(name: string, expected: string, value: unknown): LockUsageError {
  return new LockUsageError(`${name} must be ${expected}, not ${show(value)}`)
}

/** A value as it stands in a message: short, and without calling anything of the value's own. */
function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(visible(value.slice(0, 40)))
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return String(value)
  return Array.isArray(value) ? 'an array' : 'an object'
}
