/** The one place where a deadlock report becomes text: what happened, each wait, what to change. */

import { duration as longDuration, visible } from '../core/format.ts'
import { holderText, reentryAdvice, upgradeAdvice, upgradedIn } from '../core/holder-text.ts'
import type { LockLabel } from '../core/names.ts'
import type { DeadlockMember, DeadlockReport, LockHolder } from '../core/report.ts'

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
  const lines = [strong(heading(report)), '']
  const width = cycle.reduce((most, { label }) => Math.max(most, visible(label).length), 0)
  for (const [i, member] of cycle.entries()) {
    const blocker = cycle[(i + 1) % cycle.length] as DeadlockMember
    const relation = blocker.holds.includes(member.waitsFor) ? 'held by' : 'behind'
    lines.push(
      `  ${strong(visible(member.label).padEnd(width))}  ${taskText(member, cycle.at(i - 1)?.waitsFor)} ` +
        `waits for ${wanted(member)} (${relation} ${visible(holderOf(blocker, member.waitsFor))}) ` +
        `for ${duration(member.waitedMs)}`,
    )
    const { heldAt = '', similarHeldAt = '' } = member
    const isKept = heldAt + similarHeldAt !== ''
    const isMissing = !isKept && report.between === 'tasks'
    const indent = `  ${' '.repeat(width)}    `
    lines.push(...holders(member, cycle.at(i - 1)?.waitsFor).map((line) => indent + line))
    const places = [
      ...calls(waitsAt(member), isKept || isMissing ? 'waits ' : ''),
      ...calls(heldAt, 'holds '),
      ...(similarHeldAt === '' ? [] : ['holds by a call that was not kept, but perhaps like']),
      ...(isMissing ? ["holds by a call that was not kept (places: 'always' keeps all)"] : []),
      ...calls(similarHeldAt, '      '),
    ]
    lines.push(...places.map((call) => faint(indent + call)))
  }
  const condition = report.suspected ? ', if this is a deadlock' : ''
  lines.push('', ending(report), `What to change${condition}: ${advice(report)}`)
  return lines.join('\n')
}

/**
 * The locks that a member holds; or, where it is not proved that their holder waits for it, that holder.
 * `lock`: the one that the member before it waits for.
 */
function taskText(member: DeadlockMember, lock: LockLabel = ''): string {
  const { label, proved, heldBy = [] } = member
  if (proved !== false) return `holds ${holdings(member)},`
  const holder = holderOf(member, lock)
  const held = heldBy.filter((one) => one.label === holder).map((one) => one.lock)
  const locks = holdings({ ...member, holds: held.length > 0 ? held : member.holds })
  return holder === label
    ? `holds ${locks}; a request that was made inside it`
    : `was started inside ${visible(holder)}, which holds ${locks}, and`
}

/** The label under which a member holds a lock. */
function holderOf({ heldBy = [], label }: DeadlockMember, lock: LockLabel): string {
  return heldBy.find((holder) => holder.lock === lock)?.label ?? label
}

/**
 * The requests that took the locks of a member, a line each: the one whose lock the member before it waits
 * for, and those with a label of their own.
 */
function holders({ heldBy = [], label }: DeadlockMember, lock?: LockLabel): string[] {
  const wanted = heldBy.filter((holder) => holder.lock === lock)
  const others = heldBy.filter((holder) => holder.label !== label)
  const byRequest = new Map<string, LockHolder>()
  for (const holder of [...wanted, ...others]) {
    const request = `${holder.since} ${holder.label}`
    if (!byRequest.has(request)) byRequest.set(request, holder)
  }
  return [...byRequest.values()].slice(0, MAX_HOLDERS).map((holder) => visible(holderText(holder)))
}

/** The text names this many requests that took the locks of a member. */
const MAX_HOLDERS = 5

/** Where a member waits, and the functions that wait there, as far as they are known. */
function waitsAt({ stack, awaitChain }: DeadlockMember): string {
  return awaitChain === undefined ? stack : `${stack.split('\n', 1)[0]}\n${awaitChain}`
}

/** The calls of a stack, a line each, the first one after a word that says what it is. */
function calls(stack: string, word: string): string[] {
  const lines = stack.split('\n').filter((call) => call !== '')
  return lines.map((call, i) => (i === 0 ? word : ' '.repeat(word.length)) + visible(call))
}

function ending(report: DeadlockReport): string {
  const { suspected, victim, cycle, between } = report
  if (suspected) return doubt(report)
  if (report.hasVictim === false) return 'No request is rejected: deadlockAfterMs is Infinity.'
  const label = cycle.find((member) => member.thread === victim)?.label ?? cycle[0]?.label ?? ''
  return `Victim: ${visible(label)}; its request ${
    between === 'tasks'
      ? 'is rejected with DeadlockError when this has lasted for deadlockAfterMs.'
      : 'was rejected with DeadlockError.'
  }`
}

/** Why a deadlock is only suspected. */
function doubt({ cycle, hasVictim }: DeadlockReport): string {
  const i = Math.max(
    0,
    cycle.findIndex(({ proved }) => proved === false),
  )
  const lock = name(cycle.at(i - 1)?.waitsFor ?? '')
  return (
    `${hasVictim ? "The victim is rejected, as deadlockVictims is 'likely'" : 'Nothing was rejected'}: it is ` +
    `not proved that the holder of ${lock} waits for ${visible(cycle[i]?.label ?? '')}. If a timer, a promise ` +
    'that nobody awaits, or another branch made that request, this is no deadlock: mark it detached: true. ' +
    'If the holder does wait, await the request directly and attach nothing else to its promise (a .catch() ' +
    'beside the await hides it), or pass an owner. Code with an owner makes one request after another, or ' +
    'one for all locks.'
  )
}

function heading({ cycle, between, suspected }: DeadlockReport): string {
  const [one, many] = between === 'tasks' ? ['task', 'tasks'] : ['thread', 'threads']
  const what = suspected ? 'Suspected deadlock' : 'Deadlock'
  if (cycle.length === 1) {
    return `${what}: a ${one} ${suspected ? 'may wait' : 'waits'} for a lock that it holds itself.`
  }
  const outlook = between === 'tasks' ? '' : '; none could ever go on'
  return `${what}: ${cycle.length} ${many} wait for each other in a cycle${outlook}.`
}

function advice(report: DeadlockReport): string {
  const { cycle, between, suspected } = report
  const upgrades = upgradedIn(report)
  if (upgrades.length > 0) return `${visible(upgradeAdvice(upgrades))}.`
  const locks = [...new Set(cycle.map((member) => member.waitsFor))].sort(ascending)
  if (locks.length === 1) {
    return `${visible(reentryAdvice(locks[0] as LockLabel, suspected))}.`
  }
  if (between === 'tasks') {
    const list = locks.map((lock) => `'${visible(String(lock))}'`).join(', ')
    return `take them in one request: request([${list}], …); or in the same order everywhere.`
  }
  return (
    `take ${names(locks)} in one request (holdPair, hold), which always takes the lower one ` +
    'first; or take them in the same order everywhere.'
  )
}

function ascending(a: LockLabel, b: LockLabel): number {
  return a < b ? -1 : 1
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
  if (ms >= 100) return longDuration(ms)
  return ms < 1 ? `${Math.round(ms * 1000)} µs` : `${ms.toPrecision(3)} ms`
}

function same(text: string): string {
  return text
}
