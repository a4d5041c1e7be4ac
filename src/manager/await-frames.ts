/** Links the promises of requests, so that V8's await chains show which holders wait. */

import { awaitInFrame } from '../core/await-chain.ts'
import { reactTo } from './deferred.ts'
import { withDetails } from './details.ts'
import type { Request } from './request.ts'

/**
 * Makes a request, and all around it, visible in await chains. V8 follows only promises that are linked to
 * each other, and links cost: they are made when a chain is to be read, and not before.
 */
export function showAwaits(request: Request): void {
  for (let at: Request | undefined = request; at; at = at.holder) {
    const end = takeEnd(at)
    const { resolve, reject } = at.details ?? {}
    if (end && resolve) void reactTo(end, resolve, reject)
  }
}

/**
 * The promise that ends a wait or a holding, by way of a frame if a callback ends it. It is handed out once:
 * V8 follows no promise that has two reactions.
 */
export function takeEnd(request: Request): Promise<unknown> | undefined {
  const { end } = request
  request.end = undefined
  if (end === undefined || request.state !== 'holding' || request.isGuard) return end
  const { id, awaits } = awaitInFrame(end)
  withDetails(request).frame = id
  return awaits
}
