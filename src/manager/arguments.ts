/**
 * Checks and converts the caller's options and callback, before the request enters any queue.
 *
 * The callback and the options of Web Locks are converted as Web IDL does it, in its order and with its
 * exceptions. Errors beyond those of Web Locks are LockUsageErrors.
 */

import type { Supports } from '../backends/backend.ts'
import { LockUsageError } from '../core/errors.ts'
import { show } from '../core/format.ts'
import { isGenerator } from '../core/generators.ts'
import type { LockMode } from '../core/modes.ts'
import { OptionNames } from '../core/option-names.ts'
import { locksIn, type Plan } from '../core/plan.ts'
import type { Lock } from './lock.ts'
import type { RequestOptions, TryAcquireOptions } from './options.ts'
import { isAborted, isSignal, reasonOf } from './signals.ts'
import { warnOfUnknown } from './unknown-options.ts'
import { type Call, toText } from './wanted.ts'
import { notSupported, webTypeError } from './web-errors.ts'

/** Options with the defaults filled in. */
export interface Options {
  readonly mode: LockMode
  readonly ifAvailable: boolean
  readonly steal: boolean
  readonly signal: AbortSignal | undefined
  readonly timeoutMs: number | undefined
  readonly warnAfterMs: number | undefined
  readonly label: string | undefined
  readonly detached: boolean
  readonly owner: object | undefined
}

/** The options of a request that sets none. */
export const DEFAULTS: Options = {
  mode: 'exclusive',
  ifAvailable: false,
  steal: false,
  signal: undefined,
  timeoutMs: undefined,
  warnAfterMs: undefined,
  label: undefined,
  detached: false,
  owner: undefined,
}

const NAMES = Object.keys(DEFAULTS) as (keyof Options)[]
const TRY_NAMES: readonly (keyof TryAcquireOptions)[] = [
  'mode',
  'warnAfterMs',
  'label',
  'detached',
  'owner',
]

/** The option names of each call. All know all names, but offer only those that they take. */
const OPTION_NAMES: Readonly<Record<Call, OptionNames>> = {
  request: new OptionNames(NAMES),
  acquire: new OptionNames(
    NAMES,
    NAMES.filter((name) => name !== 'steal'),
  ),
  tryAcquire: new OptionNames(NAMES, TRY_NAMES),
}

/** The function that the caller wants to run with the lock. */
export type Callback = (lock: Lock | null, scope: unknown) => unknown

/** Checks options and fills in defaults. `names`, the argument before them, is for the message. */
export function toOptions(options: unknown, call: Call, names?: unknown): Options {
  return options === undefined || options === null ? DEFAULTS : readOptions(options, call, names)
}

function readOptions(options: NonNullable<unknown>, call: Call, names: unknown): Options {
  if (typeof options !== 'object' && typeof options !== 'function') {
    throw webTypeError(
      `${call}: expected an object with options, not ${show(options)}${listAdvice(options, call, names)}`,
    )
  }
  if (call !== 'request') {
    mustBeNoCallback(options, call)
    OPTION_NAMES[call].mustKnow(options, call)
  }
  // Web IDL reads a dictionary's members once each, in the order of their names.
  const given = options as RequestOptions
  const ifAvailable = Boolean(given.ifAvailable)
  const mode = toMode(given.mode)
  const signal = toSignal(given.signal)
  const steal = Boolean(given.steal)
  if (steal && call !== 'request') throw mustNotSteal(call)
  if (call === 'request') warnOfUnknown(options, OPTION_NAMES.request)
  return {
    mode,
    ifAvailable,
    steal,
    signal,
    timeoutMs: toMs(given.timeoutMs, 'timeoutMs'),
    warnAfterMs: toMs(given.warnAfterMs, 'warnAfterMs'),
    label: toLabel(given.label),
    detached: Boolean(given.detached),
    owner: toOwner(given.owner),
  }
}

/** Refuses impossible options, in the order of the steps of Web Locks' `request()`. */
export function mustBePossible(plan: Plan, options: Options, supports: Supports): void {
  if (options !== DEFAULTS || !supports.shared) checkPossible(plan, options, supports)
}

function checkPossible(plan: Plan, options: Options, supports: Supports): void {
  if (!supports.shared && locksIn(plan).some(({ mode }) => mode === 'shared')) {
    throw notSupported("this backend has no shared locks: ask for them in mode 'exclusive'")
  }
  const { steal, ifAvailable, signal, owner, detached } = options
  if (steal && !supports.steal)
    throw notSupported('this backend cannot steal locks: leave out steal')
  if (steal && ifAvailable) throw excluded('steal', 'ifAvailable')
  if (steal && locksIn(plan).some(({ mode }) => mode === 'shared')) {
    throw notSupported(
      "steal is possible only in mode 'exclusive': ask for no lock in mode 'shared'",
    )
  }
  if (signal && steal) throw excluded('signal', 'steal')
  if (signal && ifAvailable) throw excluded('signal', 'ifAvailable')
  if (owner !== undefined && detached) {
    throw new LockUsageError(
      'owner and detached exclude each other: an owner waits for its requests, and nothing waits for a ' +
        'detached one. Use only one of them',
    )
  }
  if (signal && isAborted(signal)) throw reasonOf(signal)
}

function excluded(one: string, other: string): DOMException {
  return notSupported(`${one} and ${other} exclude each other: use only one of them`)
}

/** Returns a callback; throws the error of Web Locks for a value that is not one. */
export function toCallback(callback: unknown): Callback {
  if (typeof callback === 'function') {
    if (isGenerator(callback)) throw generatorCallback()
    return callback as Callback
  }
  throw webTypeError(
    `request: expected a function to call with the lock, not ${show(callback)}: ` +
      'the callback goes last: request(names, options, callback)',
  )
}

/** Refuses a callback that was meant for `request()` in a call of `acquire()` or `tryAcquire()`. */
export function mustBeNoCallback(value: unknown, call: Call): void {
  if (typeof value !== 'function') return
  throw new LockUsageError(
    `${call}: takes no callback and returns a guard: did you mean request()?`,
  )
}

function toMode(mode: unknown): LockMode {
  if (mode === undefined) return 'exclusive'
  const text = toText(mode, 'mode')
  if (text === 'exclusive' || text === 'shared') return text
  throw webTypeError(`mode must be 'exclusive' or 'shared', not ${show(mode)}`)
}

function toSignal(signal: unknown): AbortSignal | undefined {
  if (signal === undefined) return undefined
  if (isSignal(signal)) return signal
  const advice = isController(signal) ? ': write controller.signal' : ''
  throw webTypeError(`signal must be an AbortSignal, not ${show(signal)}${advice}`)
}

/** Converts an option in milliseconds. */
export function toMs(value: unknown, what: string): number | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'number' && value >= 0) return value
  throw new LockUsageError(
    `${what} must be a number of milliseconds, 0 or more, not ${show(value)}`,
  )
}

function toLabel(label: unknown): string | undefined {
  if (label === undefined || typeof label === 'string') return label
  throw new LockUsageError(`label must be a string, not ${show(label)}`)
}

function toOwner(owner: unknown): object | undefined {
  if (owner === undefined || typeof owner === 'function') return owner as object | undefined
  if (typeof owner === 'object' && owner !== null) return owner
  throw new LockUsageError(`owner must be an object or a function, not ${show(owner)}`)
}

/** The correct call, where the caller passed a second name instead of the options. */
function listAdvice(options: unknown, call: Call, names: unknown): string {
  if (typeof options !== 'string' || names === undefined) return ''
  const first = typeof names === 'string' ? show(names) : '…'
  const list = `[${first}, ${show(options)}]`
  return `: to take several locks at once, write ${call}(${list}${call === 'request' ? ', callback' : ''})`
}

function mustNotSteal(call: Call): LockUsageError {
  return new LockUsageError(
    `${call}: only request() can steal: use request(names, { steal: true }, callback)`,
  )
}

function isController(value: unknown): boolean {
  try {
    return value instanceof AbortController
  } catch {
    return false
  }
}

function generatorCallback(): LockUsageError {
  return new LockUsageError(
    'request: the callback is a generator function: the lock would be released before its code runs. ' +
      'Use an async function that holds the lock, or acquire() a guard inside the generator',
  )
}
