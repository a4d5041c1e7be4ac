/** Who holds and who waits: Web Locks' `query()`, with labels and blockers. */

import {
  isGranted,
  type Queue,
  type Queues,
  type Ticket,
  ticketsOf,
} from '../backends/local/queues.ts'
import { innermost } from '../core/call-site.ts'
import { brief, lockList } from '../core/format.ts'
import type { LockMode } from '../core/modes.ts'
import type { Places } from './places.ts'
import { labelOf, type Request } from './request.ts'

/** A lock that is held or waited for: one entry for each name of a request. */
export interface LockInfo {
  readonly name: string
  readonly mode: LockMode
  /** The same for all requests of one JavaScript realm. */
  readonly clientId: string
  /** The request's label, or its number. */
  readonly label: string
  /**
   * Since when it holds the lock or waits for it, in milliseconds since 1970: to within 10 ms, and the time
   * for which the event loop had been blocked before.
   */
  readonly since: number
  /** Of one that waits for this name: the labels of those nearest before it. */
  readonly blockedBy: readonly string[]
  /** The innermost line of the program that made the request; absent where that was not kept. */
  readonly callSite?: string
}

/** All locks of a manager at one moment, in the order of the requests. */
export interface LockManagerSnapshot {
  readonly held: LockInfo[]
  readonly pending: LockInfo[]
}

let clientId: string | undefined

/** The state of all queues. Cost: every ticket, once, and a sort. */
export function snapshot(queues: Queues<Request>, places: Places): LockManagerSnapshot {
  const requests = new Set<Request>()
  const blockers = new Map<Ticket<Request>, Request[]>()
  for (const queue of queues.all()) {
    for (let at = queue.first; at; at = at.after) requests.add(at.claim)
    addBlockers(queue, blockers)
  }
  const held: LockInfo[] = []
  const pending: LockInfo[] = []
  for (const request of [...requests].sort((a, b) => a.id - b.id)) {
    const infos = isGranted(request) ? held : pending
    const callSite = innermost(places.of(request))
    for (const ticket of ticketsOf(request)) {
      const info = infoOf(ticket, blockers.get(ticket) ?? [])
      infos.push(callSite === undefined ? info : { ...info, callSite })
    }
  }
  return { held, pending }
}

/** A manager in one line: how many requests hold and wait, and the first locks of each. Cost: every ticket. */
export function overview(queues: Queues<Request>): string {
  const granted = new Set<Request>()
  const waiting = new Set<Request>()
  for (const queue of queues.all()) {
    for (let at = queue.first; at; at = at.after) {
      ;(isGranted(at.claim) ? granted : waiting).add(at.claim)
    }
  }
  return `held: ${summary(granted)}; waiting: ${summary(waiting)}`
}

/** The number of some requests, and the locks and labels of the first. */
function summary(requests: ReadonlySet<Request>): string {
  if (requests.size === 0) return '0'
  const first = [...requests].sort((a, b) => a.id - b.id).slice(0, SHOWN)
  const shown = first.map((request) => `${lockList(request.plan)} by ${brief(labelOf(request))}`)
  return `${requests.size}, ${shown.join(', ')}${requests.size > SHOWN ? ', …' : ''}`
}

/** An overview shows this many requests of each kind. */
const SHOWN = 3

/** What `blockersOf` says of each ticket in a queue, in one walk. */
function addBlockers(queue: Queue<Request>, blockers: Map<Ticket<Request>, Request[]>): void {
  /** The last exclusive one, and the shared ones behind it. */
  let before: Request[] = []
  for (let at = queue.first; at; at = at.after) {
    if (!at.leads) blockers.set(at, at.mode === 'shared' ? before.slice(0, 1) : before.toReversed())
    if (at.mode === 'exclusive') before = [at.claim]
    else before.push(at.claim)
  }
}

function infoOf(ticket: Ticket<Request>, blockers: readonly Request[]): LockInfo {
  const { claim, mode, queue } = ticket
  clientId ??= globalThis.crypto?.randomUUID?.() ?? `${Math.random()}`.slice(2)
  return {
    name: queue.name,
    mode,
    clientId,
    label: labelOf(claim),
    since: claim.since,
    blockedBy: blockers.map(labelOf),
  }
}
