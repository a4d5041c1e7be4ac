/** The text that `util.inspect` shows for a manager. */

import type { Backend } from '../backends/backend.ts'
import { labelText, lockList } from '../core/format.ts'
import type { Request } from './request.ts'

/** The most requests of each kind that an overview shows. */
const SHOWN = 3

/**
 * A manager in one line: how many requests hold and wait, and the first of each. Cost: a step for each
 * request.
 */
export function overview(backend: Backend<Request>): string {
  const holders = new Set<Request>()
  const waiters = new Set<Request>()
  for (const lock of backend.locks()) {
    for (const request of lock.holders()) holders.add(request)
    for (const request of lock.waiters()) waiters.add(request)
  }
  return `held: ${summary(holders)}; waiting: ${summary(waiters)}`
}

/** The number of requests, with the locks and labels of the first. */
function summary(requests: ReadonlySet<Request>): string {
  if (requests.size === 0) return '0'
  const first = [...requests].sort((a, b) => a.id - b.id).slice(0, SHOWN)
  const shown = first.map((request) => `${lockList(request.plan)} by ${labelText(request.label)}`)
  return `${requests.size}, ${shown.join(', ')}${requests.size > SHOWN ? ', …' : ''}`
}
