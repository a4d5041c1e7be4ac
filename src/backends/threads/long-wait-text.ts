/** A long wait in words: who waits, for what, who is in the way, and what to do. */

import { duration, visible } from '../../core/format.ts'
import type { LongWaitReport, ThreadHolder } from '../../core/report.ts'
import { holdersText } from './holders.ts'

/** A report as text of several lines: the wait, its call stack, the stacks of its holders, advice. */
export function longWaitText(report: LongWaitReport, isMainThread: boolean): string {
  const { label, thread, waitedMs, stack, holders } = report
  const lines = [
    `${label} (thread ${thread}) has waited for ${duration(waitedMs)} for ${objectOf(report)}`,
    ...callsText('waits at', stack),
    ...holders.flatMap(stacksOf),
    adviceFor(report, isMainThread),
  ]
  return lines.map(visible).join('\n')
}

function objectOf({ lock, mode, waiters = 0, holders, holderCount }: LongWaitReport): string {
  if (lock === undefined) {
    const owners = `all ${holderCount} are in use: ${holdersText(holders, holderCount)}`
    return `one of the table's owners; ${owners}`
  }
  const held = holderCount === 0 ? ', which was just released' : ''
  const by = holderCount === 0 ? '' : `, held by ${holdersText(holders, holderCount)}`
  const others = waiters > 1 ? `; ${waiters} wait for it` : ''
  return `lock ${lock}${mode === 'shared' ? ' (shared)' : ''}${held}${by}${others}`
}

/** The call stacks of a holder, and of what it waits for, where they are known. */
function stacksOf({ label, stack = '', waits }: ThreadHolder): string[] {
  return [
    ...callsText(`${label} asked at`, stack),
    ...callsText(`${label} waits at`, waits?.stack ?? ''),
    ...(waits?.holders ?? []).flatMap(stacksOf),
  ]
}

function callsText(what: string, stack: string): string[] {
  if (stack === '') return []
  return [`  ${what}`, ...stack.split('\n').map((call) => `    ${call.replace(/^at /, '')}`)]
}

function adviceFor(report: LongWaitReport, isMainThread: boolean): string {
  const { lock, thread, isBlocked, holders } = report
  if (lock === undefined) {
    return 'What to do: create the table with more owners, one for each thread and each holdAsync at a time.'
  }
  let advice = 'look at what the holder does meanwhile; timeoutMs limits a wait.'
  if (isBlocked) advice = blockedText(holders, isMainThread)
  else if (holders.some((holder) => holder.thread === thread)) {
    advice = 'this thread holds the lock itself, and has to release it first.'
  }
  return `What to do: ${advice} longWaitMs sets when this is reported.`
}

/** A warning to a thread that blocks: its event loop stands still, and a holder can need it. */
export function blockedText(holders: readonly ThreadHolder[], isMainThread: boolean): string {
  const whose = isMainThread ? "the main thread's event loop" : "this thread's event loop"
  const [holder] = holders
  const needs = holder ? `${holder.label} needs it` : 'the holder needs it'
  return (
    `this call blocks ${whose}. If ${needs} (for a message, to start a worker, for output), ` +
    'neither goes on: use holdAsync here.'
  )
}
