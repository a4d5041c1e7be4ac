/**
 * Reads abort signals without trusting them. A signal's own properties and methods may have been replaced,
 * and an object can look like a signal without being one.
 */

import { builtin } from '../core/builtin.ts'

const getAborted = Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'aborted')?.get
const getReason = Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'reason')?.get

/** Node and Deno keep a signal's state in own properties: an object that only inherits them is no signal. */
const [ownState] = Object.getOwnPropertySymbols(new AbortController().signal)
const isProxy = builtin<{ readonly types?: { isProxy?(value: unknown): boolean } }>('node:util')
  ?.types?.isProxy

/** Whether a value is an AbortSignal to Web IDL, not an object that inherits from one, nor a proxy. */
export function isSignal(value: unknown): value is AbortSignal {
  if (typeof value !== 'object' || value === null || isProxy?.(value)) return false
  if (ownState !== undefined && !Object.hasOwn(value, ownState)) return false
  try {
    if (getAborted === undefined) return value instanceof AbortSignal
    return typeof getAborted.call(value) === 'boolean'
  } catch {
    return false
  }
}

/** Whether a signal has aborted, even if its own properties were replaced. False if it cannot be read. */
export function isAborted(signal: AbortSignal): boolean {
  try {
    return getAborted ? (getAborted.call(signal) as boolean) : signal.aborted
  } catch {
    return false
  }
}

/** The reason of an aborted signal, even if its own properties were replaced. */
export function reasonOf(signal: AbortSignal): unknown {
  try {
    return getReason ? getReason.call(signal) : signal.reason
  } catch (error) {
    return error
  }
}
