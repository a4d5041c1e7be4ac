/**
 * Checks single option values. A refusal is a `LockUsageError` that names the option, the range and the
 * value.
 */

import { visible } from '../explain/index.ts'
import { LockUsageError } from '../index.ts'
import type { RunOptions } from './options.ts'

/** Unchecked options, as the caller gave them. */
export type Options = Readonly<Record<string, unknown>>

/** Reads all options once; refuses unknown names. */
export function optionsOf(call: string, options: unknown, known: object): Options {
  if (typeof options !== 'object' || options === null) {
    throw new LockUsageError(`${call}: expected an object with options, not ${show(options)}`)
  }
  const given: Options = { ...options }
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(known, name)) continue
    const names = Object.keys(known).join(', ')
    throw new LockUsageError(`${call}: there is no option ${show(name)}: use one of ${names}`)
  }
  return given
}

/** Returns an optional whole number from 0; default 0. */
export function whole(given: Options, name: keyof RunOptions, most: number): number {
  const value = given[name]
  if (value === undefined) return 0
  mustBeWhole(name, value, 0, Math.max(0, most))
  return value
}

/** Returns an optional boolean; default false. */
export function flag(given: Options, name: keyof RunOptions): boolean {
  const value = given[name]
  if (value === undefined || typeof value === 'boolean') return value ?? false
  throw refused(name, 'true or false', value)
}

/** Returns an optional function. */
export function callback<Fn>(given: Options, name: keyof RunOptions): Fn | undefined {
  const value = given[name]
  if (value === undefined || typeof value === 'function') return value as Fn | undefined
  throw refused(name, 'a function', value)
}

/** Whether this is a real `AbortSignal`, not a look-alike: the prototype's getter throws for others. */
export function isAbortSignal(value: unknown): value is AbortSignal {
  try {
    const { get } = Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'aborted') ?? {}
    get?.call(value)
    return true
  } catch {
    return false
  }
}

/** Whether this is a whole number in a range. */
export function isWhole(value: unknown, least: number, most: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
}

/** Refuses everything but a whole number in a range. */
export function mustBeWhole(
  name: string,
  value: unknown,
  least: number,
  most: number,
): asserts value is number {
  if (isWhole(value, least, most)) return
  throw refused(name, `a whole number from ${least} to ${most}`, value)
}

/** Refuses everything but whole minor units that a balance can hold. */
export function mustBeAmount(name: string, value: unknown): asserts value is number {
  if (isWhole(value, 0, Number.MAX_SAFE_INTEGER)) return
  const range = `a whole number of minor units from 0 to ${Number.MAX_SAFE_INTEGER}`
  throw refused(name, range, value)
}

/** Makes the error for a value that the option does not accept. */
export function refused(name: string, expected: string, value: unknown): LockUsageError {
  return new LockUsageError(`${name} must be ${expected}, not ${show(value)}`)
}

/** Shows a value briefly in a message, without running code of the value, such as `toString`. */
function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(visible(value.slice(0, 40)))
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return String(value)
  return Array.isArray(value) ? 'an array' : 'an object'
}
