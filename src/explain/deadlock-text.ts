/** The one place where a deadlock report becomes text: what happened, each wait, what to change. */

import type { LockLabel } from '../core/names.ts'
import type { DeadlockMember, DeadlockReport } from '../core/report.ts'

/** How to write the text. */
export interface TextOptions {
  /** Emphasises a heading; default: leaves it as it is. */
  readonly strong?: (text: string) => string
  /** Plays down what is rarely read; default: leaves it as it is. */
  readonly faint?: (text: string) => string
}

/**
 * A deadlock report as text of several lines, without a line break at its end. Names are shown with
 * control characters escaped.
 */
export function deadlockText(report: DeadlockReport, options: TextOptions = {}): string {
  const { strong = same, faint = same } = options
  const { cycle } = report
  const lines = [strong(heading(cycle)), '']
  const width = Math.max(...cycle.map((member) => visible(member.label).length))
  for (const member of cycle) {
    const blocker = cycle[(cycle.indexOf(member) + 1) % cycle.length] as DeadlockMember
    lines.push(
      `  ${strong(visible(member.label).padEnd(width))}  holds ${holdings(member)}, ` +
        `waits for ${wanted(member)} (held by ${visible(blocker.label)}) ` +
        `for ${duration(member.waitedMs)}`,
    )
    for (const call of member.stack.split('\n')) {
      if (call !== '') lines.push(faint(`  ${' '.repeat(width)}    ${visible(call)}`))
    }
  }
  const victim = cycle.find((member) => member.thread === report.victim) ?? cycle[0]
  lines.push(
    '',
    `Victim: ${visible(victim?.label ?? '')}; its request was rejected with DeadlockError.`,
  )
  lines.push(`What to change: ${advice(cycle)}`)
  return lines.join('\n')
}

function heading(cycle: readonly DeadlockMember[]): string {
  if (cycle.length === 1) return 'Deadlock: a thread waits for a lock that it holds itself.'
  return `Deadlock: ${cycle.length} threads wait for each other in a circle; none could ever go on.`
}

function advice(cycle: readonly DeadlockMember[]): string {
  const locks = [...new Set(cycle.map((member) => member.waitsFor))]
  if (locks.length === 1) {
    return `locks are not re-entrant; do not ask for ${name(locks[0] as LockLabel)} again while holding it.`
  }
  return (
    `take ${names(locks)} in one request (holdPair, hold), which always takes the lower one ` +
    'first; or take them in the same order everywhere.'
  )
}

function holdings({ holds, holdsShared = [] }: DeadlockMember): string {
  return names(holds, (lock) => name(lock) + (holdsShared.includes(lock) ? ' (shared)' : ''))
}

function wanted({ waitsFor, mode }: DeadlockMember): string {
  return name(waitsFor) + (mode === 'shared' ? ' (shared)' : '')
}

function names(locks: readonly LockLabel[], show = name): string {
  if (locks.length === 0) return 'nothing'
  if (locks.length === 1) return show(locks[0] as LockLabel)
  return `${locks.slice(0, -1).map(show).join(', ')} and ${show(locks.at(-1) as LockLabel)}`
}

function name(lock: LockLabel): string {
  return typeof lock === 'number' ? `lock ${lock}` : visible(lock)
}

function duration(ms: number): string {
  return ms < 1 ? `${Math.round(ms * 1000)} µs` : `${ms.toPrecision(3)} ms`
}

/** A text that someone else chose, with what could forge lines or drive a terminal as `\u…`. */
export function visible(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function same(text: string): string {
  return text
}
