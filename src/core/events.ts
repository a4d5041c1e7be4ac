/** Events: the transitions of requests as plain data. */

import type { LockMode } from './modes.ts'

/** The kind of a transition. */
export type LockEventKind =
  /** The request was made. */
  | 'requested'
  /** Some of its locks are not free: it waits. */
  | 'waiting'
  /** It holds all of its locks. */
  | 'granted'
  /** It released its locks. */
  | 'released'
  /** It ended before its callback began: aborted, timed out, refused, or a deadlock's victim. */
  | 'cancelled'
  /** It lost its locks after the grant. */
  | 'lost'

/** One transition of a request. */
export interface LockEvent {
  readonly kind: LockEventKind
  /** Milliseconds since 1970. */
  readonly atMs: number
  /** The number of the request: unique in its manager, and larger for younger requests. */
  readonly id: number
  /**
   * The number of the holder in whose callback the request was made; if that holder has ended, of the nearest
   * enclosing one (not for a detached request). 0 if this holder represents an owner; `undefined` if there is
   * none.
   */
  readonly parent: number | undefined
  /** The request's own label; `undefined` if it has none. */
  readonly label: string | undefined
  /** The locks in plan order, with the units of each. */
  readonly locks: readonly {
    readonly name: string
    readonly mode: LockMode
    readonly units: number
  }[]
}

/** Gets every event of a manager, inside the call that changes the request. It must not throw. */
export type Observer = (event: LockEvent) => void
