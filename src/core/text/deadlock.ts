/** Formats a deadlock report as several lines: a summary, each wait, and what to change. */

import { labelText, duration as longDuration, quoted, visible } from '../format.ts'
import type { LockLabel } from '../names.ts'
import type {
  DeadlockHeldLock,
  DeadlockMember,
  DeadlockReport,
  LockHolder,
  RequestedLock,
} from '../report.ts'
import { reentryAdvice, upgradeAdvice, upgradedIn } from './advice.ts'
import { holderText, waiterLabels } from './holders.ts'

/** The style of the text. */
export interface TextOptions {
  /** Emphasises a heading; default: no change. */
  readonly strong?: (text: string) => string
  /** De-emphasises rarely read text; default: no change. */
  readonly faint?: (text: string) => string
}

/**
 * Formats a deadlock report as several lines, without a final line break. Control characters in names are
 * escaped.
 */
export function deadlockText(report: DeadlockReport, options: TextOptions = {}): string {
  const { strong = same, faint = same } = options
  const { cycle } = report
  const lines = [strong(heading(report)), '']
  const labels = waiterLabels(cycle).map(visible)
  const width = labels.reduce((most, label) => Math.max(most, label.length), 0)
  const indent = `  ${' '.repeat(width)}    `
  for (const [i, member] of cycle.entries()) {
    const next = (i + 1) % cycle.length
    const blocker = cycle[next] as DeadlockMember
    const wantedFrom = cycle.at(i - 1)?.waitsFor.name
    const name = strong((labels[i] as string).padEnd(width))
    lines.push(
      `  ${name}  ${taskText(member, wantedFrom)} ${waitText(member, blocker, labels[next] as string)}`,
    )
    lines.push(...holdersOf(member, wantedFrom).map((line) => indent + line))
    const isTask = report.between === 'tasks'
    lines.push(...callLinesOf(member, wantedFrom, isTask).map((call) => faint(indent + call)))
  }
  const condition = report.confidence === 'suspected' ? ', if this is a deadlock' : ''
  lines.push('', ending(report), `What to change${condition}: ${advice(report)}`)
  return lines.join('\n')
}

/** How long a member has waited, for which lock, and the holder of that lock. */
function waitText(
  { waitsFor, waitedMs }: DeadlockMember,
  blocker: DeadlockMember,
  blockerLabel: string,
): string {
  const held = blocker.holds.find(({ name }) => name === waitsFor.name)
  const isOther = held !== undefined && held.label !== blocker.waiter.label
  const holder = isOther ? visible(labelText(held.label)) : blockerLabel
  return `has waited for ${duration(waitedMs)} for ${lockText(waitsFor)} (${held ? 'held' : 'blocked'} by ${holder})`
}

/**
 * The locks that a member holds; with their holder, if it is not proved that the holder waits for the member.
 * `lock` is the one that the previous member waits for.
 */
function taskText({ waiter, holds, isProved }: DeadlockMember, lock?: LockLabel): string {
  if (isProved) return `holds ${locksText(holds)},`
  const holder = holds.find(({ name }) => name === lock)?.label ?? waiter.label
  const held = holds.filter(({ label }) => label === holder)
  const locks = locksText(held.length > 0 ? held : holds)
  return holder === waiter.label
    ? `holds ${locks}; a request that was made inside it`
    : `was started inside ${visible(labelText(holder))}, which holds ${locks}, and`
}

/**
 * The requests that took a member's locks, a line each: the one for the lock that the previous member waits
 * for, and those with a label of their own. Locks without a known time of the grant are left out.
 */
function holdersOf({ waiter, holds }: DeadlockMember, lock?: LockLabel): string[] {
  const known = holds.filter((held): held is DeadlockHeldLock & LockHolder => {
    return held.sinceMs !== undefined && held.heldMs !== undefined
  })
  const wanted = known.filter(({ name }) => name === lock)
  const others = known.filter(({ label }) => label !== waiter.label)
  const byRequest = new Map<string, LockHolder>()
  for (const holder of [...wanted, ...others]) {
    const request = `${holder.sinceMs} ${holder.label}`
    if (!byRequest.has(request)) byRequest.set(request, holder)
  }
  return [...byRequest.values()].slice(0, MAX_HOLDERS).map((holder) => visible(holderText(holder)))
}

/** The maximum number of requests that the text shows for the locks of one member. */
const MAX_HOLDERS = 5

/**
 * The calls at which a member waits, and the calls that requested the lock for which the previous member
 * waits.
 */
function callLinesOf(
  member: DeadlockMember,
  lock: LockLabel | undefined,
  isTask: boolean,
): string[] {
  const { holds, waitsAt = '', awaitChain } = member
  const held = holds.find(
    ({ name, heldAt, similarHeldAt }) => name === lock && (heldAt ?? similarHeldAt) !== undefined,
  )
  const { heldAt = '', similarHeldAt = '' } = held ?? {}
  const isMissing = held === undefined && isTask
  const chain = awaitChain === undefined ? waitsAt : `${waitsAt.split('\n', 1)[0]}\n${awaitChain}`
  return [
    ...calls(chain, held || isMissing ? 'waits ' : ''),
    ...calls(heldAt, 'holds '),
    ...(similarHeldAt === '' ? [] : ['holds (call stack not kept; perhaps like this one)']),
    ...(isMissing ? ["holds (call stack not kept; callSites: 'always' keeps all)"] : []),
    ...calls(similarHeldAt, '      '),
  ]
}

/** The calls of a stack, a line each; the first follows a word that introduces the stack. */
function calls(stack: string, word: string): string[] {
  const lines = stack.split('\n').filter((call) => call !== '')
  return lines.map((call, i) => (i === 0 ? word : ' '.repeat(word.length)) + visible(call))
}

function ending(report: DeadlockReport): string {
  const { confidence, hasVictim, victim, cycle, between } = report
  if (confidence === 'suspected') return doubt(report)
  if (!hasVictim) return 'No request is rejected: deadlockAfterMs is Infinity.'
  const found = cycle.findIndex(({ waiter }) => waiter.id === victim)
  const victimLabel = visible(waiterLabels(cycle)[Math.max(0, found)] ?? '')
  return `Victim: ${victimLabel}; its request ${
    between === 'tasks'
      ? 'is rejected with DeadlockError when this has lasted for deadlockAfterMs.'
      : 'was rejected with DeadlockError.'
  }`
}

/** The reason why a deadlock is only suspected. */
function doubt({ cycle, hasVictim }: DeadlockReport): string {
  const i = Math.max(
    0,
    cycle.findIndex(({ isProved }) => !isProved),
  )
  const lock = nameText(cycle.at(i - 1)?.waitsFor.name ?? '')
  const wanted = nameText(cycle[i]?.waitsFor.name ?? '')
  return (
    `${hasVictim ? "The victim is rejected, as deadlockVictims is 'likely'" : 'Nothing was rejected'}: it is ` +
    `not proved that the holder of ${lock} waits for the request for ${wanted}. If a timer or another branch ` +
    'made that request, or nobody awaits its promise, this is no deadlock: make that request with detached: ' +
    'true. If the holder does wait, await the request directly and attach nothing else to its promise (a ' +
    '.catch() beside the await hides it); or pass an owner, if its code awaits each request before it makes ' +
    'the next.'
  )
}

function heading({ cycle, between, confidence }: DeadlockReport): string {
  const areThreads = between === 'threads' && cycle.every(({ waiter }) => waiter.kind === 'thread')
  const [one, many] = areThreads ? ['thread', 'threads'] : ['task', 'tasks']
  const isSuspected = confidence === 'suspected'
  const what = isSuspected ? 'Suspected deadlock' : 'Deadlock'
  if (cycle.length === 1) {
    const waits = isSuspected ? 'may wait' : 'waits'
    return cycle[0]?.sharesOwner
      ? `${what}: a request ${waits} for a lock that another request with its owner holds.`
      : `${what}: a ${one} ${waits} for a lock that it holds itself.`
  }
  const outlook = between === 'tasks' ? '' : '; none of them can continue'
  return `${what}: ${cycle.length} ${many} wait for each other in a cycle${outlook}.`
}

function advice(report: DeadlockReport): string {
  const { cycle, between, confidence } = report
  const upgrades = upgradedIn(report)
  if (upgrades.length > 0) return `${visible(upgradeAdvice(upgrades))}.`
  const names = [...new Set(cycle.map(({ waitsFor }) => waitsFor.name))].sort(ascending)
  if (names.length === 1) {
    const isSuspected = confidence === 'suspected'
    const sharesOwner = cycle.length === 1 && cycle[0]?.sharesOwner
    return `${visible(reentryAdvice(names[0] as LockLabel, { isSuspected, sharesOwner }))}.`
  }
  if (between === 'tasks') {
    const list = names.map(nameText).join(', ')
    return `take them in one request: request([${list}], …); or in the same order everywhere.`
  }
  const call = cycle.some(({ waiter }) => waiter.kind === 'task') ? 'holdAsync' : 'hold'
  // The bank names its locks after accounts: such names are no arguments.
  const areNumbers = names.every((name) => typeof name === 'number')
  const example = areNumbers ? `${call}([${names.join(', ')}], …)` : call
  const calls = example + (call === 'hold' && names.length === 2 ? ' or holdPair' : '')
  return (
    `take ${enumerated(names.map(nameText))} in one request, ${calls}, which always takes the lower one first; or ` +
    'take them in the same order everywhere.'
  )
}

function ascending(a: LockLabel, b: LockLabel): number {
  return a < b ? -1 : 1
}

function locksText(locks: readonly RequestedLock[]): string {
  return locks.length === 0 ? 'nothing' : enumerated(locks.map(lockText))
}

function lockText({ name, mode }: RequestedLock): string {
  return nameText(name) + (mode === 'shared' ? ' (shared)' : '')
}

function nameText(name: LockLabel): string {
  return visible(quoted(name))
}

/** A list with "and" before the last element. */
function enumerated(things: readonly string[]): string {
  return things.length < 2
    ? things.join()
    : `${things.slice(0, -1).join(', ')} and ${things.at(-1)}`
}

/** A duration. Below 100 ms, a fraction has three digits in all; below 1 ms, it is in whole microseconds. */
function duration(ms: number): string {
  if (ms >= 100 || Number.isInteger(ms)) return longDuration(ms)
  return ms < 1 ? `${Math.round(ms * 1000)} µs` : `${ms.toPrecision(3)} ms`
}

function same(text: string): string {
  return text
}
