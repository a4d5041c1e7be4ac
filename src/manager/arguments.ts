/**
 * What the caller passed, checked and converted before anything is entered anywhere.
 *
 * A single name, the options of Web Locks and the callback are converted as Web IDL does it, in its
 * order and with its exceptions; what goes beyond Web Locks throws LockUsageError.
 */

import type { PlanNode, Supports } from '../backends/backend.ts'
import { LockUsageError } from '../core/errors.ts'
import { kindOf, show } from '../core/format.ts'
import type { LockMode, WantedLock } from '../core/modes.ts'
import { compareNames } from '../core/names.ts'
import { OptionNames } from '../core/option-names.ts'
import { locksIn, type Plan, planFor } from '../core/plan.ts'
import type { Lock } from './lock.ts'
import type { RequestOptions } from './options.ts'
import { isAborted, isSignal, reasonOf } from './signals.ts'
import { warnOfUnknown } from './unknown-options.ts'
import { webTypeError } from './web-type-error.ts'

/** More names than this in one request are refused: it is a mistake, or another lock is wanted. */
export const MOST_NAMES = 1024
/** Longer names than this, in UTF-16 code units, are refused. */
export const LONGEST_NAME = 65_536

/** Options as they count: the defaults filled in. */
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

/** The calls that ask for locks. */
export type Call = 'request' | 'acquire' | 'tryAcquire'

/** The options of a request that has none. */
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

const OPTION_NAMES = new OptionNames(Object.keys(DEFAULTS))

/** What a caller wants called with the lock. */
export type Callback = (lock: Lock | null, scope: unknown) => unknown

/** A function that orders two names. */
export type Compare = (a: string, b: string) => number

/** What makes the nodes of plans: a backend. */
export interface NodeMaker {
  node(name: string, mode: LockMode): PlanNode
}

/**
 * The names that a caller gives: one, or a list. `request()` converts one that is neither a string nor a
 * lock as Web IDL does; a set, or anything else that can be iterated, is refused: it would be one name.
 */
export function toNames(
  names: unknown,
  call: Call,
): string | WantedLock<string> | readonly unknown[] {
  if (typeof names === 'string') return names
  if (typeof names === 'object' && names !== null && isList(names)) return names
  const wanted = toWanted(names)
  if (wanted !== undefined) return wanted
  if (isIterable(names)) {
    throw webTypeError(
      `${call}: expected a name or an array of names, not ${show(names)}: ${iterableAdvice(names as object)}`,
    )
  }
  if (call === 'request') return toText(names, 'name')
  throw new LockUsageError(
    `${call}: expected a name, shared(name), exclusive(name) or an array of them, not ${show(names)}`,
  )
}

/** The plan for names. */
export function toPlan(
  names: ReturnType<typeof toNames>,
  mode: LockMode,
  compare: Compare,
  maker: NodeMaker,
): PlanNode {
  if (typeof names === 'string') return toNode(names, mode, maker)
  if (!isList(names)) return toNode(names.name, names.mode, maker)
  // Once: the elements are the caller's, and may change the list when they are read.
  const { length } = names
  if (!Number.isInteger(length) || length < 1 || length > MOST_NAMES) throw wrongCount(length)
  const wanted = new Array<PlanNode>(length)
  for (let i = 0; i < length; i++) {
    const element: unknown = names[i]
    if (typeof element === 'string') wanted[i] = toNode(element, mode, maker)
    else {
      const one = toWanted(element)
      if (one === undefined) throw wrongElement(element, i)
      wanted[i] = toNode(one.name, one.mode, maker)
    }
  }
  return planFor(wanted, compare)
}

/** Checks options and fills in defaults. `names`, what was given before them, is for the message. */
export function toOptions(options: unknown, call: Call, names?: unknown): Options {
  if (options === undefined || options === null) return DEFAULTS
  if (typeof options !== 'object' && typeof options !== 'function') {
    throw webTypeError(
      `${call}: expected options, not ${show(options)}${listAdvice(options, call, names)}`,
    )
  }
  if (call !== 'request') {
    mustBeNoCallback(options, call)
    OPTION_NAMES.mustKnow(options, call)
  }
  // Web IDL reads a dictionary's members in the order of their names, each once.
  const given = options as RequestOptions
  const ifAvailable = Boolean(given.ifAvailable)
  const mode = toMode(given.mode)
  const signal = toSignal(given.signal)
  const steal = Boolean(given.steal)
  if (steal && call !== 'request') throw new LockUsageError(`${call}: only request() can steal`)
  if (call === 'request') warnOfUnknown(options, OPTION_NAMES)
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

/** Refuses options that cannot be asked for, as step by step in Web Locks' `request()`. */
export function mustBePossible(plan: Plan, options: Options, supports: Supports): void {
  if (!supports.shared && locksIn(plan).some(({ mode }) => mode === 'shared')) {
    throw notSupported("this backend has no shared locks: ask in mode 'exclusive'")
  }
  if (options === DEFAULTS) return
  const { steal, ifAvailable, signal, owner, detached } = options
  if (steal && !supports.steal) throw notSupported('this backend cannot steal locks')
  if (steal && ifAvailable) throw notSupported('steal and ifAvailable exclude each other')
  if (steal && locksIn(plan).some(({ mode }) => mode === 'shared')) {
    throw notSupported("steal is possible in mode 'exclusive' only")
  }
  if (signal && steal) throw notSupported('signal and steal exclude each other')
  if (signal && ifAvailable) throw notSupported('signal and ifAvailable exclude each other')
  if (owner !== undefined && detached) {
    throw new LockUsageError(
      'owner and detached exclude each other: an owner waits for its requests, nobody for a detached one',
    )
  }
  if (signal && isAborted(signal)) throw reasonOf(signal)
}

/** The callback, or the error that Web Locks has for one that is none. */
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

/** Refuses the callback of a `request()` where `acquire()` or `tryAcquire()` was called. */
export function mustBeNoCallback(value: unknown, call: Call): void {
  if (typeof value !== 'function') return
  throw new LockUsageError(
    `${call}: takes no callback and returns a guard: did you mean request()?`,
  )
}

/** By default, names come in the order of their code units. */
export const defaultCompare: Compare = compareNames

function toNode(name: string, mode: LockMode, maker: NodeMaker): PlanNode {
  if (name.charCodeAt(0) === 45) throw reservedName()
  if (name.length > LONGEST_NAME) throw tooLong(name)
  return maker.node(name, mode)
}

function isList(names: object): names is readonly unknown[] {
  return Array.isArray(names)
}

/** What `shared()` and `exclusive()` make, each member read once. */
function toWanted(value: unknown): WantedLock<string> | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { name, mode } = value as Partial<WantedLock>
  if (mode !== 'shared' && mode !== 'exclusive') return undefined
  if (typeof name === 'string') return { name, mode }
  throw new LockUsageError(`a lock's name must be a string, not ${show(name)}`)
}

function toText(value: unknown, what: 'name' | 'mode'): string {
  if (typeof value === 'symbol') {
    throw webTypeError(`a symbol is no ${what}: ${show(value)}`)
  }
  return `${value}`
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

/** An option in milliseconds. */
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

/** Whether anything but a string or an array: a String object is a string to Web IDL. */
function isIterable(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || value instanceof String) return false
  const { [Symbol.iterator]: items, [Symbol.asyncIterator]: later } = value as {
    [Symbol.iterator]?: unknown
    [Symbol.asyncIterator]?: unknown
  }
  return typeof items === 'function' || typeof later === 'function'
}

/** How to make an array of names of what can be iterated. */
function iterableAdvice(names: object): string {
  const every = 'to take every name in it, write'
  const kind = kindOf(names)
  if (kind === 'a Set') return `${every} [...set]`
  if (kind === 'a Map') return `to take every key in it, write [...map.keys()]`
  if (ArrayBuffer.isView(names)) {
    return (
      'a name is a string: to take one lock for these bytes, write them as text, such as ' +
      "Buffer.from(bytes).toString('hex'); to take one for each number, Array.from(numbers, String)"
    )
  }
  if (kind === 'a generator') return `${every} [...generator]`
  const { [Symbol.iterator]: items } = names as { [Symbol.iterator]?: unknown }
  return typeof items === 'function'
    ? `${every} [...names]`
    : `${every} await Array.fromAsync(names)`
}

/** The call to write where a second name stands in the place of the options. */
function listAdvice(options: unknown, call: Call, names: unknown): string {
  if (typeof options !== 'string' || names === undefined) return ''
  const first = typeof names === 'string' ? show(names) : '…'
  const list = `[${first}, ${show(options)}]`
  return `: to take several locks at once, write ${call}(${list}${call === 'request' ? ', callback' : ''})`
}

function isController(value: unknown): boolean {
  try {
    return value instanceof AbortController
  } catch {
    return false
  }
}

/** Whether a function is a generator function, async or not, of whatever realm. Cost: one read. */
function isGenerator(callback: object): boolean {
  const { [Symbol.toStringTag]: tag } = callback as { [Symbol.toStringTag]?: unknown }
  return tag === 'GeneratorFunction' || tag === 'AsyncGeneratorFunction'
}

function generatorCallback(): LockUsageError {
  return new LockUsageError(
    'request: the callback is a generator function: the lock would be released before its first item. ' +
      'Use an async function that holds the lock, or acquire() a guard inside of the generator',
  )
}

function wrongCount(count: number): LockUsageError {
  return new LockUsageError(
    count === 0
      ? 'the list of names is empty'
      : `${count} names, at most ${MOST_NAMES} can be taken at once: ` +
          'take one lock for many things instead',
  )
}

function wrongElement(element: unknown, index: number): LockUsageError {
  if (typeof element === 'object' && element !== null && 'name' in element && 'mode' in element) {
    return new LockUsageError(
      `a lock in the list needs a name and the mode 'exclusive' or 'shared', not mode ${show(element.mode)} ` +
        `(element ${index})`,
    )
  }
  return new LockUsageError(
    `expected names, shared(name) or exclusive(name) in the list, not ${show(element)} ` +
      `(element ${index})`,
  )
}

function tooLong(name: string): LockUsageError {
  return new LockUsageError(
    `a name of ${name.length} code units ('${name.slice(0, 40)}…'), at most ` +
      `${LONGEST_NAME} are possible: use a digest of it`,
  )
}

function reservedName(): DOMException {
  return notSupported("names that begin with '-' are reserved")
}

function notSupported(message: string): DOMException {
  return new DOMException(message, 'NotSupportedError')
}
