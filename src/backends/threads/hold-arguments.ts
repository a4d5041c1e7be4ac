/**
 * The arguments, except the locks (plan.ts), of the calls that hold locks: checks them and makes wait terms.
 */

import { elapsedMs } from '../../core/clock.ts'
import { type Caller, LockUsageError } from '../../core/errors.ts'
import { show } from '../../core/format.ts'
import { isGenerator } from '../../core/generators.ts'
import { OptionNames } from '../../core/option-names.ts'
import type { Terms } from './wait.ts'

/** Options of a call that holds locks. */
export interface HoldOptions {
  /** The time limit of the wait for the locks, in milliseconds. Default: none. */
  readonly timeoutMs?: number | undefined
}

const HOLD_OPTIONS = new OptionNames(['timeoutMs'])

/**
 * Checks the arguments after the locks in a call of `hold` or `holdAsync`: optional options, then the
 * callback.
 */
export function parseCall<Fn>(
  rest: readonly [fn: Fn] | readonly [options: HoldOptions, fn: Fn],
  caller: Caller,
): { terms: Terms; fn: Fn } {
  const [options, fn] = rest.length === 1 ? [undefined, rest[0]] : rest
  mustBeFunction(fn, caller)
  if (options === undefined) return { terms: { caller }, fn }
  mustBeObject(caller.name, options, caller)
  HOLD_OPTIONS.mustKnow(options, caller.name, caller)
  const { timeoutMs } = options
  if (timeoutMs === undefined) return { terms: { caller }, fn }
  if (isDuration(timeoutMs)) {
    return { terms: { caller, timeoutMs, untilMs: elapsedMs() + timeoutMs }, fn }
  }
  throw badDuration('timeoutMs', timeoutMs, caller)
}

export function isDuration(ms: unknown): ms is number {
  return typeof ms === 'number' && ms >= 0
}

export function badDuration(name: string, ms: unknown, caller?: Caller): LockUsageError {
  return new LockUsageError(
    `${name} must be a number of milliseconds from 0 up, not ${show(ms)}`,
    caller,
  )
}

export function mustBeListener(name: string, listener: unknown): void {
  if (listener === undefined || typeof listener === 'function') return
  throw new LockUsageError(`${name} must be a function, not ${show(listener)}`)
}

export function mustBeFunction(fn: unknown, caller: Caller): void {
  if (typeof fn === 'function') {
    if (isGenerator(fn)) throw generatorCallback(caller)
    return
  }
  const { name } = caller
  const usage = USAGES[name] ?? `${name}(locks, fn) or ${name}(locks, options, fn)`
  throw new LockUsageError(
    `${name}: expected a function to call with the locks held, not ${show(fn)}: write ${usage}`,
    caller,
  )
}

/** The usage of calls that have no options. */
const USAGES: Readonly<Record<string, string>> = {
  holdAll: 'holdAll(fn)',
  tryHold: 'tryHold(locks, fn)',
}

function generatorCallback(caller: Caller): LockUsageError {
  return new LockUsageError(
    `${caller.name}: the callback is a generator function: its locks would be released before its code runs. Use a ` +
      'function, or an async function with holdAsync',
    caller,
  )
}

export function mustBeObject(call: string, options: unknown, caller?: Caller): void {
  if (typeof options === 'object' && options !== null) return
  throw new LockUsageError(
    `${call}: expected an object with options, such as ${EXAMPLES[call] ?? '{ timeoutMs: 500 }'}, not ${show(options)}`,
    caller,
  )
}

/** Options of calls that hold no locks. */
const EXAMPLES: Readonly<Record<string, string>> = {
  create: '{ count: 64 }',
  open: "{ label: 'teller 3' }",
}
