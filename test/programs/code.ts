/** The code of the holders: makes requests and awaits them, in the real manager and in the model. */

import { type Asked, Waiting } from './asked.ts'
import { type Form, type FormTools, type Limit, newLimit } from './forms.ts'
import type { Step } from './program.ts'
import type { Real } from './real.ts'

/** A promise that was created and can be awaited later. */
interface Kept {
  readonly asked: Asked
  readonly promise: Promise<unknown>
  /** Set for a helper's promise: the manager does not see subscriptions to it. */
  readonly isHelper: boolean
  readonly holder: Asked
}

/** A promise that is not a request; the driver settles it. */
interface Other {
  readonly promise: Promise<unknown>
  readonly state: { state: 'pending' | 'value' | 'thrown' }
  settle(how: 'value' | 'thrown'): void
}

/** Makes the request of a step, now. */
export type Start = () => Asked

/** The code of all holders of one program. */
export class Code {
  readonly #realOf: (asked: Asked) => Real
  readonly #limit: Limit = newLimit()
  readonly #kept: Kept[] = []
  readonly #others = new Map<Waiting, Other>()
  /** Nested requests that code has subscribed to since the last `takeSubscribed`. */
  readonly #subscribed = new Set<Asked>()

  constructor(realOf: (asked: Asked) => Real) {
    this.#realOf = realOf
  }

  /** Makes a request in the code of a holder. */
  ask(step: Extract<Step, { do: 'ask' }>, holder: Asked, start: Start): void {
    const isSide = step.isSide || !holder.takesCommands
    if (step.as === 'return' && !isSide && step.demand.onHold !== 'guard') {
      this.#return(holder, start)
    } else if (step.as === 'later') this.#keep(holder, isSide, start)
    else if (step.as === 'helper') this.#keepHelper(holder, isSide, start)
    else this.#perform(step.form, holder, isSide, undefined, () => this.#keptOf(start(), holder))
  }

  /** Awaits a promise that was created before. */
  await(step: Extract<Step, { do: 'await' }>): void {
    const able = this.#kept.filter(
      ({ asked, isHelper, holder }) =>
        asked.state === 'pending' &&
        asked.parent?.state === 'holding' &&
        // If an ended callback left a helper behind, the manager cannot know that code awaits it.
        (!isHelper || holder === asked.parent),
    )
    const kept = pick(able, step.which)
    const holder = kept?.asked.parent
    if (kept === undefined || holder === undefined) return
    const rest = able.filter((one) => one !== kept && one.asked.parent === holder)
    const isSide = step.isSide || !holder.takesCommands
    this.#perform(step.form, holder, isSide, pick(rest, step.other), () => kept)
  }

  /** Settles the other promise of code that waits for two. */
  settle(step: Extract<Step, { do: 'settle' }>): void {
    const pending = [...this.#others.values()].filter(({ state }) => state.state === 'pending')
    pick(pending, step.which)?.settle(step.how)
  }

  /** Settles the other promise of code whose request has settled; with `isAll`, of all code. */
  settleOthers(isAll: boolean): void {
    for (const [waiting, other] of this.#others) {
      if (isAll || waiting.asked.state === 'ended' || waiting.asked.isOut) {
        other.settle('value')
        this.#others.delete(waiting)
      }
    }
  }

  /** Returns the nested requests that code has subscribed to since the last call. */
  takeSubscribed(): Asked[] {
    const subscribed = [...this.#subscribed]
    this.#subscribed.clear()
    return subscribed
  }

  #return(holder: Asked, start: Start): void {
    holder.isOver = true
    this.#realOf(holder).main.put({
      do: 'return',
      ask: () => {
        const asked = start()
        asked.form = 'returned'
        const waiting = new Waiting('one', asked, undefined)
        asked.waitedForIn = waiting
        holder.waitsIn = waiting
        this.#subscribe(asked, asked.parent === holder ? 'proved' : 'suspected')
        return this.#realOf(asked).promise
      },
    })
  }

  #keep(holder: Asked, isSide: boolean, start: Start): void {
    this.#realOf(holder).command(isSide, () => {
      const kept = this.#keptOf(start(), holder)
      kept.asked.form = 'promise kept'
      this.#kept.push(kept)
    })
  }

  #keepHelper(holder: Asked, isSide: boolean, start: Start): void {
    const helper = async (): Promise<unknown> => {
      const asked = start()
      asked.form = 'helper kept'
      this.#subscribe(asked, 'suspected')
      helped = asked
      const value = await this.#realOf(asked).promise
      return value
    }
    let helped: Asked | undefined
    this.#realOf(holder).command(isSide, () => {
      const promise = helper()
      this.#kept.push({ asked: helped as Asked, promise, isHelper: true, holder })
    })
  }

  #keptOf(asked: Asked, holder: Asked): Kept {
    return { asked, promise: this.#realOf(asked).promise, isHelper: false, holder }
  }

  /** Performs a form in the code of a holder. The code waits for `second` besides the request. */
  #perform(
    form: Form,
    holder: Asked,
    isSide: boolean,
    second: Kept | undefined,
    start: () => Kept,
  ): void {
    const isOne = form.until === 'one'
    const other = isOne || second ? undefined : newOther()
    const ask = (): Promise<unknown> => {
      const kept = start()
      const beside = isOne ? undefined : (second?.asked ?? other?.state)
      const waiting = new Waiting(form.until, kept.asked, beside)
      if (other) this.#others.set(waiting, other)
      if (form.isBlocking && !isSide) holder.waitsIn = waiting
      // A request that has stolen the locks of its own holder is nested in the next holder outward.
      const isOwn = kept.asked.parent === holder && !isSide
      this.#awaits(kept, form, isOwn, waiting)
      if (second && !isOne) this.#awaits(second, form, isOwn, waiting)
      return kept.promise
    }
    const tools: FormTools = {
      ask,
      other: (isOne ? undefined : (second?.promise ?? other?.promise)) ?? Promise.resolve(),
      later: (work) => setImmediate(work),
      limit: this.#limit,
    }
    const real = this.#realOf(holder)
    if (form.name === 'await' && !isSide) real.main.put({ do: 'await', ask })
    else real.command(isSide, () => form.run(tools))
  }

  /** Records that code awaits a promise in a form. `isOwn`: the code is the callback of its holder. */
  #awaits({ asked, isHelper }: Kept, form: Form, isOwn: boolean, waiting: Waiting): void {
    const isHidden = asked.hasReaction
    asked.hasReaction = true
    if (form.verdict === 'none' && asked.isAwaited) {
      if (isHidden) asked.verdict = 'suspected'
      return
    }
    asked.form = form.name
    if (form.verdict === 'none') return
    asked.isBranching = form.branches
    asked.waitedForIn = waiting
    const verdict = !isOwn || isHidden ? 'suspected' : form.verdict
    if (isHelper) asked.verdict = verdict
    else this.#subscribe(asked, verdict)
  }

  #subscribe(asked: Asked, verdict: Asked['verdict']): void {
    if (!asked.isAwaited || asked.isLeftBehind) this.#subscribed.add(asked)
    asked.isLeftBehind = false
    asked.verdict = verdict
  }
}

function newOther(): Other {
  const state: Other['state'] = { state: 'pending' }
  let settle: Other['settle'] = () => {}
  const promise = new Promise<void>((resolve, reject) => {
    settle = (how) => {
      if (state.state !== 'pending') return
      state.state = how
      if (how === 'value') resolve()
      else reject(new Error('the other promise'))
    }
  })
  return { promise, state, settle: (how) => settle(how) }
}

/** Picks an element by number; `undefined` if there are none. */
export function pick<Some>(some: readonly Some[], which: number): Some | undefined {
  return some[which % Math.max(1, some.length)]
}
