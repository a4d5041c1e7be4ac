/**
 * The fields that only some requests need, in an object of their own, so that the others need no room for
 * them. A request that ends drops them, so that it keeps neither promises nor waiting code in memory. It
 * keeps them if its signal was read.
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
  /**
   * The await chain. While the request waits: the last reading. For a guard: the reading at its grant,
   * dropped when the callback that requested the guard ends without returning it.
   */
  chain: AwaitChain | undefined
  /** Whether the detector has asked for a reading of the chain. */
  isChainWanted: boolean
  /** The holder whose callback returned this request's own promise, or its guard. */
  returnedBy: object | undefined
  /** Whether requests inside this holder were made side by side, so that its code has branches. */
  hasBranches: boolean
  /** The number of the frame that awaits the end of its callback; 0 where there is none. */
  frame: number
  /**
   * Whether the callback that made the request has ended before the request. Earlier subscriptions to its
   * promise then no longer show that somebody waits. `'awaited since'` if there was a later one.
   */
  leftBehind: false | 'left behind' | 'awaited since'
  /**
   * Aborts the signal of its lock or guard when the locks are lost. Made when that signal is first read.
   */
  lost: AbortController | undefined
}

/** Details with nothing set but the functions that settle the promise. */
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
    leftBehind: false,
    lost: undefined,
  }
}

/** The details of a request. Makes them if there are none. */
export function withDetails(request: { details: Details | undefined }): Details {
  request.details ??= newDetails()
  return request.details
}
