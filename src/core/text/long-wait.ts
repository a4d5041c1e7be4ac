/** Formats a long wait in shared memory: the waiter, the lock, the holders that block it, and advice. */

import { firstCall } from '../call-site.ts'
import { duration, labelText, quoted, visible } from '../format.ts'
import type { LockMode } from '../modes.ts'
import type { LongWaitReport, ThreadHolder, ThreadWait } from '../report.ts'

/** The number of holders that a sentence names. */
const MAX_NAMED = 4

/** Formats a report as several lines: the wait, its call stack, the stacks of its holders, advice. */
export function longWaitText(report: LongWaitReport): string {
  const { label, thread, waitedMs, waitsAt, holders } = report
  const lines = [
    `${withThread(label, thread)} has waited for ${duration(waitedMs)} for ${objectOf(report)}`,
    ...callsText('waits at', waitsAt),
    ...holders.flatMap(stacksOf),
    adviceFor(report),
  ]
  return lines.map(visible).join('\n')
}

function objectOf(report: LongWaitReport): string {
  const { holders, holderCount } = report
  if (report.resource === 'owner') {
    const owners = `all ${holderCount} are in use: ${holdersText(holders, holderCount)}`
    return `a free owner slot of the table; ${owners}`
  }
  const { waitsFor, waiters } = report
  const shared = waitsFor.mode === 'shared' ? ' (shared)' : ''
  const held = holderCount === 0 ? ', which was just released' : ''
  const by = holderCount === 0 ? '' : `, held by ${holdersText(holders, holderCount)}`
  const others = waiters > 1 ? `; ${waiters} waiters in all` : ''
  return `${quoted(waitsFor.name)}${shared}${held}${by}${others}`
}

/** The call stacks of a holder, of its own wait, and of the holders that block that wait, where known. */
function stacksOf({ label, heldAt, waits }: ThreadHolder): string[] {
  return [
    ...callsText(`${label} requested its locks at`, heldAt),
    ...callsText(`${label} waits at`, waits?.waitsAt),
    ...(waits?.holders ?? []).flatMap(stacksOf),
  ]
}

function callsText(what: string, stack: string | undefined): string[] {
  if (stack === undefined) return []
  return [`  ${what}`, ...stack.split('\n').map((call) => `    ${call.replace(/^at /, '')}`)]
}

function adviceFor(report: LongWaitReport): string {
  const { resource, thread, isBlocked, isMainThread, holders } = report
  if (resource === 'owner') {
    return (
      'What to do: create the table with more owners, one for each thread, ' +
      'and one for each holdAsync that runs at the same time.'
    )
  }
  const own = holders.find((holder) => holder.thread === thread)
  const advice = isBlocked
    ? blockedText(holders, isMainThread)
    : own
      ? `code of this same thread holds the lock (${labelText(own.label)}): it must release it without waiting for this call.`
      : `look at what ${holderName(holders)} does while it holds the lock; timeoutMs limits a wait.`
  return `What to do: ${advice} longWaitMs sets when this is reported.`
}

function holderName([holder]: readonly ThreadHolder[]): string {
  return holder ? labelText(holder.label) : 'the holder'
}

/** A warning for a thread that blocks: its event loop does not run, and a holder can need it. */
export function blockedText(holders: readonly ThreadHolder[], isMainThread: boolean): string {
  const whose = isMainThread ? "the main thread's event loop" : "this thread's event loop"
  return (
    `this call blocks ${whose}. If ${holderName(holders)} needs it (for a message, to start a worker, for output), ` +
    'neither continues: use holdAsync here.'
  )
}

/** Holders as a part of a sentence: `teller 3 (thread 4, seen holding it for 980 ms)`. */
export function holdersText(
  holders: readonly ThreadHolder[],
  count: number = holders.length,
): string {
  const named = holders.slice(0, MAX_NAMED).map(holderText)
  if (count > named.length) named.push(`${count - named.length} more`)
  return named.join(', ')
}

function holderText(holder: ThreadHolder): string {
  const { label, thread, heldMs, isSeen, heldAt, repairs, waits } = holder
  const parts: string[] = []
  if (heldMs !== undefined) {
    parts.push(
      `${isSeen ? 'seen holding it' : 'holds it'}${modeText(holder)} for ${duration(heldMs)}`,
    )
  }
  if (repairs !== undefined) parts.push(`repairs what ${repairs} left`)
  if (heldAt !== undefined) parts.push(`requested ${siteOf(heldAt)}`)
  if (waits) parts.push(waitText(waits))
  return withThread(label, thread, parts)
}

/** A label with its thread's number and more, in one pair of brackets: `main (task 2, thread 1, …)`. */
function withThread(label: string, thread: number, more: readonly string[] = []): string {
  const [, name = label, task] = /^(.*) \((task \d+)\)$/s.exec(label) ?? []
  const parts = task === undefined ? [] : [task]
  if (name !== `thread ${thread}`) parts.push(`thread ${thread}`)
  parts.push(...more)
  return parts.length === 0 ? name : `${labelText(name)} (${parts.join(', ')})`
}

function waitText({ waiter, waitsFor, waitedMs, waitsAt, holders }: ThreadWait): string {
  const at = waitsAt === undefined ? '' : ` ${siteOf(waitsAt)}`
  const held = holders.length === 0 ? '' : `, held by ${holdersText(holders)}`
  return `${WAITERS[waiter]} for ${quoted(waitsFor.name)} for ${duration(waitedMs)}${at}${held}`
}

const WAITERS = {
  itself: 'and has itself waited',
  'its thread': 'and its thread has waited',
  inside: 'and a holdAsync inside it has waited',
} as const

function modeText({ mode }: { readonly mode: LockMode }): string {
  return mode === 'shared' ? ' shared' : ''
}

/** The innermost call of a stack, after the word `at`. */
function siteOf(stack: string): string {
  const call = firstCall(stack)
  return call.startsWith('at ') ? call : `at ${call}`
}
