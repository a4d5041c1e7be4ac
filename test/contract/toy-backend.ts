/**
 * A backend like a remote one: its store answers late, grants asynchronously, can lose a lock, and detects
 * deadlocks itself. It shows what the port requires of a backend, in as few lines as possible.
 *
 * The store keeps one list of entries, in order of arrival. An entry is granted when no earlier entry
 * conflicts with it. A nested entry is inserted before those that wait for its holder.
 */

import type {
  Backend,
  BackendHost,
  BackendRequest,
  Blocker,
  LockState,
  PlanNode,
} from '../../src/backends/backend.ts'
import type { LockMode } from '../../src/core/modes.ts'
import { locksIn, namesIn } from '../../src/core/plan.ts'
import type { LockManagerSnapshot } from '../../src/core/snapshot.ts'
import { DeadlockError, type DeadlockReport, LockNotAvailableError } from '../../src/index.ts'

/** A request in the store. */
interface Entry {
  readonly request: BackendRequest
  isGranted: boolean
}

/** The latency of each message, in milliseconds. */
const LATENCY_MS = 1

export class ToyBackend implements Backend {
  readonly supports = { steal: false, shared: false }
  #host: BackendHost | undefined
  /** The store. */
  readonly #entries: Entry[] = []
  /** Requests that were made and have neither failed nor been released. */
  readonly #asked = new Set<BackendRequest>()
  /** Requests that were cancelled or released before their message arrived. */
  readonly #gone = new Set<BackendRequest>()

  attach(host: BackendHost): void {
    this.#host = host
  }

  node(name: string, mode: LockMode): PlanNode {
    return { name, mode, next: undefined }
  }

  acquire(request: BackendRequest): boolean {
    this.#asked.add(request)
    later(() => {
      if (this.#gone.delete(request)) return
      const entry: Entry = { request, isGranted: false }
      this.#entries.splice(this.#indexFor(request), 0, entry)
      this.#grant()
      if (entry.isGranted) return
      if (request.ifAvailable) {
        const by = this.#inTheWay(entry).map(({ request: { label } }) => label)
        this.#remove(request)
        this.#asked.delete(request)
        later(() => request.failed(new LockNotAvailableError(`it is held by ${by.join()}`)))
      } else this.#lookForDeadlock(request)
    })
    return false
  }

  cancel(request: BackendRequest): void {
    void this.release(request)
  }

  async release(request: BackendRequest): Promise<void> {
    if (!this.#asked.delete(request)) throw new Error('the store does not know this request')
    if (!this.#entryOf(request)) this.#gone.add(request)
    await new Promise<void>((resolve) => later(resolve))
    this.#remove(request)
    this.#grant()
  }

  async blockers(request: BackendRequest, name?: string): Promise<Blocker[]> {
    const entry = this.#entryOf(request)
    // A waiting entry comes after all that it waits for, so this is the whole chain.
    const chain = entry ? this.#inTheWay(entry) : []
    for (const one of chain) chain.push(...this.#inTheWay(one).filter((by) => !chain.includes(by)))
    const wanted = chain.flatMap((one) => namesIn(one.request.plan)).concat(namesIn(request.plan))
    return chain.flatMap(({ request: by, isGranted }) => {
      const lock = namesIn(by.plan).find((held) => wanted.includes(held)) as string
      if (!isGranted || (name !== undefined && lock !== name)) return []
      const { label, since, callSite } = by
      const waiters = this.lock(lock).waiting
      const modes = { mode: 'exclusive', wanted: 'exclusive' } as const
      return [
        {
          name: lock,
          waitsFor: lock,
          ...modes,
          by: { label, since, callSite },
          holders: 1,
          waiters,
        },
      ]
    })
  }

  locks(): LockState[] {
    const names = new Set(this.#entries.flatMap(({ request }) => namesIn(request.plan)))
    return [...names].map((name) => this.lock(name))
  }

  lock(name: string): LockState {
    const entries = this.#entries.filter(({ request }) => namesIn(request.plan).includes(name))
    const requests = (isGranted: boolean): BackendRequest[] =>
      entries.filter((entry) => entry.isGranted === isGranted).map(({ request }) => request)
    return {
      name,
      waiting: requests(false).length,
      newest: entries.at(-1)?.request,
      holders: () => requests(true),
      waiters: () => requests(false),
    }
  }

  async query(): Promise<LockManagerSnapshot> {
    await new Promise<void>((resolve) => later(resolve))
    const infos = (wanted: boolean): LockManagerSnapshot['held'] =>
      this.#entries
        .filter(({ isGranted }) => isGranted === wanted)
        .flatMap((entry) =>
          locksIn(entry.request.plan).map(({ name, mode }) => ({
            name,
            mode,
            clientId: 'toy',
            label: entry.request.label,
            since: entry.request.since,
            blockedBy: this.#inTheWay(entry).map(({ request }) => request.label),
          })),
        )
    return { held: infos(true), pending: infos(false) }
  }

  async close(): Promise<void> {
    this.#host = undefined
  }

  // Calls by which a test acts on the store.

  isHeld(name: string): boolean {
    return [...this.lock(name).holders()].length > 0
  }

  lose(name: string, error: Error): void {
    for (const holder of this.lock(name).holders()) holder.lost({ kind: 'gone', error })
  }

  failWaiting(name: string, error: Error): void {
    for (const waiter of this.lock(name).waiters()) {
      this.#remove(waiter)
      this.#asked.delete(waiter)
      waiter.failed(error)
    }
    this.#grant()
  }

  /** Grants the entries that can be granted; the messages arrive late. */
  #grant(): void {
    for (const entry of this.#entries) {
      if (entry.isGranted || this.#inTheWay(entry).length > 0) continue
      entry.isGranted = true
      // It may have been cancelled meanwhile. Then its release is on its way.
      later(() => {
        if (this.#entryOf(entry.request) && !this.#gone.has(entry.request)) entry.request.granted()
      })
    }
  }

  #entryOf(request: BackendRequest): Entry | undefined {
    return this.#entries.find((entry) => entry.request === request)
  }

  #remove(request: BackendRequest): void {
    const at = this.#entries.findIndex((entry) => entry.request === request)
    if (at >= 0) this.#entries.splice(at, 1)
  }

  /** The earlier entries that request one of the same locks. */
  #inTheWay(entry: Entry): Entry[] {
    const names = namesIn(entry.request.plan)
    const before = this.#entries.slice(0, this.#entries.indexOf(entry))
    return before.filter(({ request }) =>
      namesIn(request.plan).some((name) => names.includes(name)),
    )
  }

  /** The index of a new entry: the end, or for a nested one, before the first that waits for its holder. */
  #indexFor(request: BackendRequest): number {
    const holders = around(request)
    const first = this.#entries.findIndex(
      (entry) =>
        !entry.isGranted && this.#inTheWay(entry).some((one) => holders.includes(one.request)),
    )
    return first < 0 ? this.#entries.length : first
  }

  #lookForDeadlock(request: BackendRequest): void {
    const cycle = this.#cycleFrom(request)
    const host = this.#host
    if (cycle === undefined || host === undefined) return
    // In that case no request is rejected, and a report would come at once.
    if (host.deadlockAfterMs === Number.POSITIVE_INFINITY) return
    setTimeout(async () => {
      const proofs = await Promise.all(cycle.map((waiting) => host.prove(waiting)))
      const stands =
        String(this.#cycleFrom(request)?.map(({ id }) => id)) === String(cycle.map(({ id }) => id))
      if (!stands || (host.deadlockVictims === 'proved' && proofs.includes(false))) return
      const report = reportOf(cycle)
      this.#remove(request)
      this.#asked.delete(request)
      host.report(report)
      request.failed(new DeadlockError(report))
      this.#grant()
    }, host.deadlockAfterMs)
  }

  /** The waiting requests that wait for each other through the holders around them, `start` first. */
  #cycleFrom(start: BackendRequest): BackendRequest[] | undefined {
    const cycle = [start]
    for (const waiting of cycle) {
      const entry = this.#entryOf(waiting)
      const holder = entry && this.#inTheWay(entry).find(({ isGranted }) => isGranted)?.request
      if (holder === undefined) return undefined
      if (around(start).includes(holder)) return cycle
      const next = this.#entries.find(
        (one) => !one.isGranted && around(one.request).includes(holder),
      )?.request
      if (next === undefined || cycle.includes(next)) return undefined
      cycle.push(next)
    }
    return undefined
  }
}

function around(request: BackendRequest): BackendRequest[] {
  const holders: BackendRequest[] = []
  for (let at = request.parent; at; at = at.parent) holders.push(at)
  return holders
}

function reportOf(cycle: readonly BackendRequest[]): DeadlockReport {
  return {
    kind: 'deadlock',
    version: 1,
    between: 'tasks',
    confidence: 'proved',
    hasVictim: true,
    detectedAtMs: Date.now(),
    victim: cycle[0]?.id ?? 0,
    cycle: cycle.map(({ id, label, plan, since, callSite }, i) => ({
      waiter: { kind: 'request', id, label },
      holds: [],
      waitsFor: { name: plan.name, mode: plan.mode, units: 1 },
      blockers: [cycle[(i + 1) % cycle.length]?.id ?? 0],
      waitedMs: Date.now() - since,
      ...(callSite !== undefined && { waitsAt: callSite }),
      isProved: true,
    })),
  }
}

function later(work: () => void): void {
  setTimeout(work, LATENCY_MS)
}
