/**
 * Warns when the event loop runs empty while requests wait: nothing will ever grant them, and the process
 * ends without a word.
 *
 * `beforeExit` of the process says so, on Node, Deno and Bun, also before the exit for a top-level `await`
 * that never settles. The first request that waits in any manager adds the one listener. A manager is kept in
 * memory while requests wait: it could not report them if it was collected with them. A look now and then finds
 * that none wait, and lets go of it.
 *
 * Cost: for the first request of a manager that waits, and again for the first after a look that found none, one
 * entry in a map and a timer. A look costs a step for each lock at most, and comes once more for each manager
 * whenever their number has doubled.
 */

import { emitWarning } from '../core/emit-warning.ts'
import { afterThisTurn, now, reportIdlyAfter } from './clock.ts'

/** The waiting requests of a manager, for when the loop runs empty. */
export interface Waits {
  /** Whether any request waits. */
  isAnyWaiting(): boolean
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

/** A manager is looked at after so many milliseconds, and then after twice as many each time, up to the most. */
const [FIRST_LOOK_MS, MOST_MS] = [1000, 60_000]

/** With so many managers they are looked at at once: a program can make many before a timer comes. */
const MAX_UNSEEN = 1000

/** A manager that is kept in memory. */
interface Kept {
  readonly waits: Waits
  readonly forgotten: () => void
}

const managers = new Map<number, Kept>()
let nextSweep = MAX_UNSEEN
let managersSeen = 0
let isListening = false
/** The waits of the last warning. */
let warnedOf = ''

/**
 * Has the waits of a manager reported when the loop runs empty. Call it when its first request waits, and again
 * for the first after `forgotten` was called.
 */
export function watchEmptyLoop(waits: Waits, forgotten: () => void): void {
  const { process } = globalThis as { readonly process?: Process }
  if (process?.on === undefined) return
  const number = ++managersSeen
  managers.set(number, { waits, forgotten })
  if (managers.size >= nextSweep) {
    for (const each of [...managers.keys()]) mustStay(each)
    nextSweep = Math.max(MAX_UNSEEN, 2 * managers.size)
  }
  const lookAfter = (ms: number): void => {
    reportIdlyAfter(ms, () => {
      if (mustStay(number)) lookAfter(Math.min(2 * ms, MOST_MS))
    })
  }
  lookAfter(FIRST_LOOK_MS)
  if (isListening) return
  isListening = true
  process.on('beforeExit', loopIsEmpty)
}

/** Whether requests of a manager wait; lets go of it where none do. */
function mustStay(number: number): boolean {
  const kept = managers.get(number)
  if (kept === undefined) return false
  if (kept.waits.isAnyWaiting()) return true
  managers.delete(number)
  kept.forgotten()
  return false
}

function loopIsEmpty(): void {
  const waiting: Waits[] = []
  const keys: string[] = []
  let count = 0
  for (const [number, { waits }] of managers) {
    const ids = waits.waiting()
    if (ids.length === 0) continue
    waiting.push(waits)
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
