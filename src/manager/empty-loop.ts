/**
 * Warns when the event loop runs empty while requests wait. Nothing will grant them then, and the process
 * would end silently.
 *
 * The process event `beforeExit` signals this on Node, Deno and Bun, also before the exit for a top-level
 * `await` that never settles. The first waiting request in any manager adds the only listener. A manager is
 * kept in memory while requests wait, so that it is not collected with them before it can report them. A
 * periodic check drops it when none wait.
 *
 * Cost: a map entry and a timer for a manager's first waiting request, and again for the first after a check
 * that found none. A check costs at most a step for each lock. All managers are checked whenever their number
 * has doubled.
 */

import { emitWarning } from '../core/emit-warning.ts'
import { afterThisTurn, now, reportIdlyAfter } from './clock.ts'

/** The waiting requests of a manager, for the report when the loop runs empty. */
export interface Waits {
  /** Whether any request waits. */
  isAnyWaiting(): boolean
  /** The numbers of the waiting requests. */
  waiting(): readonly number[]
  /** Checks suspected deadlocks again. Returns whether that may have an effect. */
  lookAgain(): boolean
  /**
   * At most `limit` lines that describe the waiting requests. Only the first few requests behind the same
   * holders have a line, and only the first of them names the holders. `at`: the current time, in
   * milliseconds since 1970.
   */
  describe(limit: number, at: number): string[]
  /**
   * Describes the guard cycles that were not reported yet and that one of the first `limit` requests may be
   * in.
   */
  suspect(limit: number, at: number): string[]
}

interface Process {
  on?(event: 'beforeExit', listener: () => void): void
}

/** The most lines for requests in a warning. */
const MAX_LINES = 20

/** The time before the first check of a manager, doubled for each further check, and its maximum. */
const [FIRST_LOOK_MS, MAX_CHECK_MS] = [1000, 60_000]

/** With this many managers, all are checked at once: a program can make many before a timer fires. */
const MAX_UNSEEN = 100

/** A manager that is kept in memory. */
interface Kept {
  readonly waits: Waits
  readonly forgotten: () => void
}

const managers = new Map<number, Kept>()
let nextSweep = MAX_UNSEEN
let managersSeen = 0
let isListening = false
/** Identifies the waits in the last warning. */
let warnedOf = ''

/**
 * Registers a manager for the report when the loop runs empty. Call it when the manager's first request
 * waits, and again for the first one after `forgotten` was called.
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
      if (mustStay(number)) lookAfter(Math.min(2 * ms, MAX_CHECK_MS))
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
    // Reactions to promises do not keep the loop alive: without this, the process would end after them.
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
    'What to do: release the guards that hold these locks, and let the callbacks that hold them end.',
  ].join('\n')
}
