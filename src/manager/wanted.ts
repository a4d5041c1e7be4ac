/**
 * Converts the names that the caller passed to a plan, before the request enters any queue.
 *
 * A single name is converted as Web IDL does it. Errors beyond those of Web Locks are LockUsageErrors.
 */

import type { PlanNode } from '../backends/backend.ts'
import { LockUsageError } from '../core/errors.ts'
import { kindOf, show } from '../core/format.ts'
import type { LockMode, WantedLock } from '../core/modes.ts'
import { compareNames } from '../core/names.ts'
import { planFor } from '../core/plan.ts'
import { warnOfObjectName } from './unknown-options.ts'
import { notSupported, webTypeError } from './web-errors.ts'

/** The most names in one request. A longer list is a mistake, or needs a coarser lock. */
const MAX_NAMES = 1024
/** The longest name, in UTF-16 code units. */
const MAX_NAME_LENGTH = 65_536

/** The calls that ask for locks. */
export type Call = 'request' | 'acquire' | 'tryAcquire'

/** A function that orders two names. */
export type Compare = (a: string, b: string) => number

/** The part of a backend that makes the nodes of plans. */
export interface NodeMaker {
  node(name: string, mode: LockMode): PlanNode
}

/** The default order: names are compared by code units. */
export const defaultCompare: Compare = compareNames

/**
 * The names that a caller gives: one, or a list. `request()` converts a value that is neither a string nor a
 * lock as Web IDL does. A set or another iterable is refused: it would be converted to a single name.
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
  if (call === 'request') {
    const name = toText(names, 'name')
    if (typeof names === 'object') warnOfObjectName(name)
    return name
  }
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
  // Read once: reading an element may run the caller's code, which may change the list.
  const { length } = names
  if (!Number.isInteger(length) || length < 1 || length > MAX_NAMES) throw wrongCount(length)
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

function toNode(name: string, mode: LockMode, maker: NodeMaker): PlanNode {
  if (name.charCodeAt(0) === 45) throw reservedName(name)
  if (name.length > MAX_NAME_LENGTH) throw tooLong(name)
  return maker.node(name, mode)
}

function isList(names: object): names is readonly unknown[] {
  return Array.isArray(names)
}

/** The lock that `shared()` or `exclusive()` made, each member read once; `undefined` for other values. */
function toWanted(value: unknown): WantedLock<string> | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { name, mode } = value as Partial<WantedLock>
  if (mode !== 'shared' && mode !== 'exclusive') return undefined
  if (typeof name === 'string') return { name, mode }
  throw new LockUsageError(`a lock's name must be a string, not ${show(name)}`)
}

/** Converts a value to a string as Web IDL does. */
export function toText(value: unknown, what: 'name' | 'mode'): string {
  if (typeof value === 'symbol') {
    throw webTypeError(`a ${what} must be a string, not ${show(value)}`)
  }
  return `${value}`
}

/** Whether a value is an iterable object other than an array. Web IDL takes a String object for a string. */
function isIterable(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || value instanceof String) return false
  const { [Symbol.iterator]: items, [Symbol.asyncIterator]: later } = value as {
    [Symbol.iterator]?: unknown
    [Symbol.asyncIterator]?: unknown
  }
  return typeof items === 'function' || typeof later === 'function'
}

/** The advice how to make an array of names from an iterable. */
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

function wrongCount(count: number): LockUsageError {
  return new LockUsageError(
    count === 0
      ? 'the list of names is empty: name at least one lock'
      : `one request can take at most ${MAX_NAMES} locks, not ${count}: ` +
          'use one lock for many things instead',
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
    `a name can have at most ${MAX_NAME_LENGTH} code units, not ${name.length} ` +
      `('${name.slice(0, 40)}…'): use a digest of it`,
  )
}

function reservedName(name: string): DOMException {
  return notSupported(`names that begin with '-' are reserved: use another name than ${show(name)}`)
}
