/**
 * The part of a request that only some requests have: kept apart, so that the others need no room for it. A
 * request that has ended forgets it, and with it the promises and the code that waited, unless its signal was
 * read.
 */

import type { AwaitChain } from '../core/await-chain.ts'

/** Settles a promise. */
export interface Settle {
  readonly resolve: (value: unknown) => void
  readonly reject: (reason: unknown) => void
}

/** The details of one request. */
export interface Details {
  /** The functions that settle the promise of a nested request. */
  resolve: Settle['resolve'] | undefined
  reject: Settle['reject'] | undefined
  /** The await chain: the last reading while it waits; for a guard, the reading at its grant. */
  chain: AwaitChain | undefined
  /** Whether the detector wants the chain read. */
  isChainWanted: boolean
  /** The holder whose callback returned this request's own promise. */
  returnedBy: object | undefined
  /** Whether requests inside this holder were made side by side, so that its code has branches. */
  hasBranches: boolean
  /** The number of the frame that awaits the end of its callback; 0 where there is none. */
  frame: number
  /** Aborts the signal of its lock or guard when the locks are stolen; made when that is read. */
  lost: AbortController | undefined
}

/** Details with nothing but what settles a promise. */
export function newDetails(): Details
export function newDetails(resolve: Settle['resolve'], reject: Settle['reject']): Details & Settle
export function newDetails(resolve?: Settle['resolve'], reject?: Settle['reject']): Details {
  return {
    resolve,
    reject,
    chain: undefined,
    isChainWanted: false,
    returnedBy: undefined,
    hasBranches: false,
    frame: 0,
    lost: undefined,
  }
}

/** The details of a request, made where there are none. */
export function withDetails(request: { details: Details | undefined }): Details {
  request.details ??= newDetails()
  return request.details
}
