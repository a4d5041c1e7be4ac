/**
 * Owners: objects that represent a task where no callback does.
 *
 * All requests with one owner are nested in one holder, which holds no lock itself and is made on demand. So
 * deadlock detection and declared orders treat an owner's guards and requests like those of a callback. That
 * holder is nested in the callback that made the owner's last request.
 */

import type { PlanNode } from '../backends/backend.ts'
import { DEFAULTS } from './arguments.ts'
import { liveHolder, ownersCode, Request } from './request.ts'

/** The plan of an owner's holder, which enters no queue. */
const NO_LOCK: PlanNode = { name: '', mode: 'exclusive', next: undefined }

/** The owners of one manager. */
export class Owners {
  readonly #context: Request['context']
  /** Whether the runtime knows in whose callback code runs. */
  readonly #isCarried: boolean
  readonly #holders = new WeakMap<object, Request>()

  constructor(context: Request['context'], isCarried: boolean) {
    this.#context = context
    this.#isCarried = isCarried
  }

  /**
   * The holder of an owner's request that is made in the code of the holder `around`. A new one has the label
   * of this request.
   */
  holderOf(owner: object, label: string | undefined, around: Request | undefined): Request {
    const known = this.#holders.get(owner)
    // An idle holder was made for a request that was then refused, perhaps in other code.
    if (known?.state === 'holding' && !isIdle(known)) {
      for (let at = around; at; at = at.holder) if (at === known) return around as Request
      if (!known.nested?.size) move(known, liveHolder(around))
      return this.#isCarried ? known : innermost(known)
    }
    const options = label === undefined ? DEFAULTS : { ...DEFAULTS, label }
    const holder = new Request(this.#context, 0, NO_LOCK, options, around, ownersCode)
    holder.state = 'holding'
    this.#holders.set(owner, holder)
    return holder
  }
}

/**
 * Moves an owner that waits for nothing to the holder in whose callback its next request is made: its code
 * and its guards are there now. A request outside of all callbacks does not move the owner, because the
 * asynchronous context may merely be lost.
 */
function move(owner: Request, around: Request | undefined): void {
  if (around === undefined || owner.holder === around) return
  owner.holder?.nested?.delete(owner)
  owner.holder = around
  // Nobody there waits for it yet.
  owner.isAwaited = false
  if (owner.details) owner.details.leftBehind = false
}

/** Whether an owner has a waiting request at the time its next one enters its queues. */
export function hasWaiting({ nested }: Request): boolean {
  for (const request of nested ?? []) if (request.state === 'waiting') return true
  return false
}

/** Whether an owner's code holds nothing and requests nothing. */
export function isIdle({ isOwner, nested, guards }: Request): boolean {
  return isOwner && !nested?.size && !guards?.size
}

/** The innermost running callback inside a holder; if several run side by side, the youngest. */
function innermost(holder: Request): Request {
  let inner = liveHolder(holder) as Request
  for (;;) {
    let next: Request | undefined
    for (const request of inner.nested ?? []) if (request.state === 'holding') next = request
    if (next === undefined) return inner
    inner = next
  }
}
