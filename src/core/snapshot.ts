/** The requests that hold and wait at one moment: Web Locks' `query()`, with labels and blockers. */

import type { LockMode } from './modes.ts'

/** A lock that is held or waited for: one entry for each name of a request. */
export interface LockInfo {
  readonly name: string
  readonly mode: LockMode
  /** Identifies the JavaScript realm: the same for all its requests. */
  readonly clientId: string
  /** The request's label, else that of the nearest enclosing request that has one, else its number. */
  readonly label: string
  /**
   * The time since which it has held the lock or waited for it, in milliseconds since 1970. Precise to within
   * 10 ms, plus the time for which the event loop had been blocked before.
   */
  readonly since: number
  /** The labels of the nearest requests that block it; empty if none does. */
  readonly blockedBy: readonly string[]
  /** The innermost line of the program that made the request; absent if it was not kept. */
  readonly callSite?: string
}

/** All locks of a manager at one moment, in the order of the requests. */
export interface LockManagerSnapshot {
  readonly held: LockInfo[]
  readonly pending: LockInfo[]
}

let clientId: string | undefined

/** The id of this JavaScript realm, made on first use. */
export function ownClientId(): string {
  clientId ??= globalThis.crypto?.randomUUID?.() ?? `${Math.random()}`.slice(2)
  return clientId
}
