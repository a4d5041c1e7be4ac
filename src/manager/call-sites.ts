/**
 * Keeps the call stacks of requests. A call stack costs many times the request itself. So by default it is
 * kept for a manager's first requests, and later for one in each interval of some milliseconds. For a request
 * without one, reports show the last one of these from its class, as similar.
 */

import { frameIn } from '../core/await-chain.ts'
import { innermost } from '../core/call-site.ts'
import type { Caller } from '../core/errors.ts'
import { visible } from '../core/format.ts'
import { classOf } from '../core/names.ts'
import { namesIn } from '../core/plan.ts'
import { callsIn, capture, isAfterAwait, linesOf, stackOf } from './kept-stack.ts'
import type { Request } from './request.ts'
import { codeOf } from './wait-graph.ts'

/** Which requests keep their call stacks. */
export type KeepCallSites = 'sampled' | 'always' | 'never'

/** The number of first requests that all keep their call stacks. */
const FIRST = 32
/** The most classes with a remembered call stack. */
const MAX_CLASSES = 1024
/** The longest name of a class with a remembered call stack. */
const MAX_CLASS_LENGTH = 256

/** The call stacks of a manager's requests. */
export class CallSites {
  readonly #keep: KeepCallSites
  readonly #ofClass = new Map<string, { readonly stack?: string }>()
  #sampled = 0
  /** When a call stack was last kept, by the coarse clock. */
  #sampledAt = 0

  constructor(keep: KeepCallSites) {
    this.#keep = keep
  }

  /** Keeps the call stack of a sample of the requests: once for each reading of the coarse clock. */
  keepSome(request: Request, caller: Caller): void {
    if (
      this.#sampledAt === request.coarseSince &&
      this.#sampled >= FIRST &&
      this.#keep !== 'always'
    )
      return
    this.#keepOne(request, caller)
  }

  #keepOne(request: Request, caller: Caller): void {
    this.#sampledAt = request.coarseSince
    this.#sampled++
    this.keep(request, caller)
    if (request.keptStack === undefined) return
    for (const name of namesIn(request.plan)) {
      const cls = classOf(name)
      if (cls.length > MAX_CLASS_LENGTH) continue
      if (this.#ofClass.size < MAX_CLASSES || this.#ofClass.has(cls)) {
        this.#ofClass.set(cls, request.keptStack)
      }
    }
  }

  /** Keeps the call stack of a request. */
  keep(request: Request, caller: Caller): void {
    if (this.#keep !== 'never') request.keptStack ??= capture(caller)
  }

  /** The call stack of a request; `''` if it was not kept. */
  of(request: Request): string {
    return linesOf(request.keptStack)
  }

  /** Whether a request was made after an `await`; false if its call stack was not kept. */
  isAfterAwait(request: Request): boolean {
    return isAfterAwait(request.keptStack)
  }

  /**
   * The functions that wait for a request, one a line, outwards to the callback whose code is to end
   * `holding`; `''` if they are not known.
   */
  ofChain(waiting: Request, holding: Request): string {
    const { chain } = waiting.details ?? {}
    const code = codeOf(holding)
    if (this.#keep === 'never' || !chain?.error || !code?.details?.frame) return ''
    const calls = callsIn(stackOf(chain.error), true).split('\n')
    const end = calls.findIndex((call) => frameIn(call) === code.details?.frame)
    if (end < 0) return ''
    const holders: Request[] = []
    for (let at = waiting.holder; at; at = at.holder) holders.push(at)
    const calledBy = (call: string): string => {
      const frame = frameIn(call)
      if (frame === 0) return call
      const holder = holders.find((one) => one.details?.frame === frame)
      return `the callback of ${holder ? visible(holder.label) : 'another manager’s request'}`
    }
    return calls
      .slice(0, end + 1)
      .map(calledBy)
      .join('\n')
  }

  /** The call stack of a lock's holder; if it was not kept, a similar one. */
  ofHeld(
    holder: Request,
    name: string,
  ): { readonly heldAt?: string; readonly similarHeldAt?: string } {
    const heldAt = this.of(holder)
    if (heldAt !== '') return { heldAt }
    const similarHeldAt = linesOf(this.#ofClass.get(classOf(name)))
    return similarHeldAt === '' ? {} : { similarHeldAt }
  }

  /** The call site of a request for a lock called `name`; if its call stack was not kept, a similar one. */
  callSiteOf(
    request: Request,
    name: string = request.plan.name,
  ): { readonly callSite?: string; readonly similarCallSite?: string } {
    const { heldAt = '', similarHeldAt = '' } = this.ofHeld(request, name)
    const callSite = innermost(heldAt)
    if (callSite !== undefined) return { callSite }
    const similarCallSite = innermost(similarHeldAt)
    return similarCallSite === undefined ? {} : { similarCallSite }
  }
}
