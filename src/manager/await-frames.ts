/** Links the promises of requests, so that V8's await chains show which holders wait. */

import { awaitInFrame } from '../core/await-chain.ts'
import { reactTo } from './deferred.ts'
import { withDetails } from './details.ts'
import type { Request } from './request.ts'

/**
 * Makes a request, and all enclosing requests, visible in await chains. V8 follows only promises that are
 * linked to each other. Links are expensive, so they are made only when a chain is to be read.
 */
export function showAwaits(request: Request): void {
  for (let at: Request | undefined = request; at; at = at.holder) {
    const end = takeEnd(at)
    const { resolve, reject } = at.details ?? {}
    if (end && resolve) void reactTo(end, resolve, reject)
  }
}

/**
 * Removes and returns the promise that settles when a wait or a holding ends. For a callback, returns a
 * promise that awaits that end in a frame of its own. The next call returns `undefined`: V8 does not follow a
 * promise that has two reactions.
 */
export function takeEnd(request: Request): Promise<unknown> | undefined {
  const { end } = request
  request.end = undefined
  if (end === undefined || request.state !== 'holding' || request.isGuard) return end
  const { id, awaits } = awaitInFrame(end)
  withDetails(request).frame = id
  return awaits
}
