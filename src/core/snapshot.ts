/** The requests that hold and wait at one moment: Web Locks' `query()`, with labels and blockers. */

import type { LockMode } from './modes.ts'

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
  /** The labels of the nearest requests that are in its way; empty where none is. */
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

/** The number of this JavaScript realm, made when it is first asked for. */
export function ownClientId(): string {
  clientId ??= globalThis.crypto?.randomUUID?.() ?? `${Math.random()}`.slice(2)
  return clientId
}
