/**
 * Owners: objects that stand for a task where no callback does.
 *
 * All that is asked for with one owner is nested in one holder, which holds no lock itself and is made
 * when it is needed. So detection and declared orders see an owner's guards and requests as they see
 * those of a callback. That holder is nested in the callback in which the owner's last request was made.
 */

import type { PlanNode } from '../backends/backend.ts'
import { DEFAULTS } from './arguments.ts'
import { liveHolder, ownersCode, Request } from './request.ts'

/** It enters no queue. */
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
   * The holder of what an owner asks for, in the code of the holder `around`. Its label is that of the
   * owner's first request.
   */
  holderOf(owner: object, label: string | undefined, around: Request | undefined): Request {
    const known = this.#holders.get(owner)
    // One that is idle was made for a request that was refused, wherever that was.
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
 * An owner that waits for nothing makes a request in the callback of another holder than its last one: its
 * code is there now, with the guards that it has. Outside of all callbacks it stays: the context may be lost.
 */
function move(owner: Request, around: Request | undefined): void {
  if (around === undefined || owner.holder === around) return
  owner.holder?.nested?.delete(owner)
  owner.holder = around
  // Nobody there waits for it yet.
  owner.isAwaited = false
  if (owner.details) owner.details.leftBehind = false
}

/** A request with this owner is about to enter its queues: whether others of its code wait by then. */
export function hasWaiting({ nested }: Request): boolean {
  for (const request of nested ?? []) if (request.state === 'waiting') return true
  return false
}

/** Whether an owner's code holds nothing and asks for nothing. */
export function isIdle({ isOwner, nested, guards }: Request): boolean {
  return isOwner && !nested?.size && !guards?.size
}

/** The callback that runs, of all those that an owner's code is in. It is the youngest. */
function innermost(holder: Request): Request {
  let inner = liveHolder(holder) as Request
  for (;;) {
    let next: Request | undefined
    for (const request of inner.nested ?? []) if (request.state === 'holding') next = request
    if (next === undefined) return inner
    inner = next
  }
}
