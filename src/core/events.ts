/** The transitions of requests as plain data: one event for each. */

import type { LockMode } from './modes.ts'

/** The kind of a transition. */
export type LockEventKind =
  /** It was made. */
  | 'requested'
  /** Not all of its locks are free: it waits. */
  | 'waiting'
  /** It has all of its locks. */
  | 'granted'
  /** It has freed them. */
  | 'released'
  /** It was given up before its callback began: aborted, out of time, refused, or a deadlock's victim. */
  | 'cancelled'
  /** It has lost what it was granted. */
  | 'lost'

/** One transition of a request. */
export interface LockEvent {
  readonly kind: LockEventKind
  /** The time, in milliseconds since 1970. */
  readonly atMs: number
  /** The number of the request: unique in its manager, and larger for younger ones. */
  readonly id: number
  /** The number of the holder in whose code it was made; `undefined` outside of all. */
  readonly parent: number | undefined
  /** Its own label; `undefined` where it has none. */
  readonly label: string | undefined
  /** Its locks in their order, with the number of units of each. */
  readonly locks: readonly {
    readonly name: string
    readonly mode: LockMode
    readonly units: number
  }[]
}

/** Gets every event of a manager, inside of the call that changes the request. It must not throw. */
export type Observer = (event: LockEvent) => void
