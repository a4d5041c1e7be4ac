/**
 * Warns when the event loop runs empty while requests wait: nothing will ever grant them, and the process
 * ends without a word.
 *
 * `beforeExit` of the process says so, on Node, Deno and Bun, also before the exit for a top-level `await`
 * that never settles. The first request that waits in any manager adds the one listener. Managers are known
 * by weak references: one that the program has dropped is not kept.
 *
 * Cost: for the first request of a manager that waits, one entry in a set.
 */

import { emitWarning } from '../core/emit-warning.ts'
import { afterThisTurn, now } from './clock.ts'

/** The waiting requests of a manager, for when the loop runs empty. */
export interface Waits {
  /** The numbers of the requests that wait. */
  waiting(): readonly number[]
  /** Looks once more at deadlocks that are only suspected; whether something may come of that. */
  lookAgain(): boolean
  /**
   * Lines for the requests that wait, at most `limit`: of those behind the same holders only for the first
   * few, and for the holders with the first. `at` is the time, in milliseconds since 1970.
   */
  describe(limit: number, at: number): string[]
  /**
   * The lines about guards that could form a cycle with one of the first `limit` requests, and were not
   * reported yet.
   */
  suspect(limit: number, at: number): string[]
}

interface Process {
  on?(event: 'beforeExit', listener: () => void): void
}

/** A warning has this many lines for requests. */
const MAX_LINES = 20

/** Dropped managers are looked for when this many are known, and then when twice as many are. */
const MIN_SWEEP = 64

const managers = new Map<number, WeakRef<Waits>>()
let managersSeen = 0
let sweepAt = MIN_SWEEP
let isListening = false
/** The waits of the last warning. */
let warnedOf = ''

/** Has the waits of a manager reported when the loop runs empty. Call it once for each manager. */
export function watchEmptyLoop(waits: Waits): void {
  if (managers.size >= sweepAt) {
    for (const [number, reference] of managers) if (!reference.deref()) managers.delete(number)
    sweepAt = Math.max(MIN_SWEEP, 2 * managers.size)
  }
  managers.set(++managersSeen, new WeakRef(waits))
  if (isListening) return
  isListening = true
  const { process } = globalThis as { readonly process?: Process }
  process?.on?.('beforeExit', loopIsEmpty)
}

function loopIsEmpty(): void {
  const waiting: Waits[] = []
  const keys: string[] = []
  let count = 0
  for (const [number, reference] of managers) {
    const ids = reference.deref()?.waiting() ?? []
    if (ids.length === 0) continue
    waiting.push(reference.deref() as Waits)
    keys.push(`${number}: ${ids.join()}`)
    count += ids.length
  }
  if (count === 0) return
  let isLooking = false
  for (const waits of waiting) if (waits.lookAgain()) isLooking = true
  if (isLooking) {
    // Reactions to promises do not keep the loop alive: without this the process would end after them.
    afterThisTurn(() => {})
    return
  }
  const key = keys.join('; ')
  if (key === warnedOf) return
  warnedOf = key
  const at = now()
  const lines: string[] = []
  for (const waits of waiting) lines.push(...waits.describe(MAX_LINES - lines.length, at))
  if (lines.length < count) lines.push(`… (${count} in all)`)
  for (const waits of waiting.slice(0, MAX_LINES)) lines.push(...waits.suspect(MAX_LINES, at))
  emitWarning(textOf(lines, count))
}

function textOf(lines: readonly string[], count: number): string {
  const [wait, them] = count === 1 ? ['1 request waits', 'it'] : [`${count} requests wait`, 'them']
  return [
    `The event loop has run empty while ${wait} for locks: nothing will ever grant ${them}.`,
    ...lines.map((line) => `  ${line}`),
  ].join('\n')
}
