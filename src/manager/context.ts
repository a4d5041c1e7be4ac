/**
 * Finds the holder in whose callback the running code makes a request.
 *
 * An AsyncLocalStorage carries the holder where the runtime has one (Node, Bun, Deno). Elsewhere, mainly in
 * browsers, code makes a nested request through the callback's second parameter.
 */

import { newAsyncContext } from '../core/async-context.ts'

/** The members of a holder that are used here. */
export interface Carried {
  readonly state: string
  /** The context of its manager. */
  readonly context: object
  /** The holder, of any manager, in whose callback its own callback was called. */
  around: Carried | undefined
}

/** Shared by all managers: a runtime may do work for each storage at each promise. */
const storage = newAsyncContext<Carried>()
let isOn = false

/** Whether the runtime knows in whose callback code runs. */
export const isCarried: boolean = storage !== undefined

/** Carries the holders of one manager along asynchronous calls. */
export class Context<Own extends Carried, Host = unknown> {
  /** The manager, in the form that its requests use. */
  readonly host: Host

  constructor(host: Host) {
    this.host = host
  }

  /** The holder that the running code belongs to; `undefined` where there is none. */
  get current(): Own | undefined {
    // A storage sees no promises before its first use: without this, the first holder would apply to all
    // code.
    if (!isOn) turnOn()
    let at = storage?.getStore()
    while (at !== undefined && at.context !== this) at = at.around
    return at as Own | undefined
  }

  /** Makes the rest of the running microtask, and all that it starts, belong to a holder. */
  enter(holder: Own): void {
    if (storage === undefined) return
    const around = unended(storage.getStore())
    // Skip ended holders: otherwise each holder would keep all earlier ones in memory.
    if (around !== undefined) around.around = unended(around.around)
    holder.around = around
    storage.enterWith(holder)
  }
}

/** Runs work outside of all holders, whichever code calls this. */
export function outside(work: () => void): void {
  if (storage) storage.run(undefined, work)
  else work()
}

function unended(from: Carried | undefined): Carried | undefined {
  let at = from
  while (at?.state === 'ended') at = at.around
  return at
}

/**
 * Turns the storage on. Node below 24 tracks promises for a storage, and does so only from the storage's
 * first use.
 */
function turnOn(): void {
  isOn = true
  // Elsewhere this would only leave an entry in every context.
  if (storage?.enabled !== false) return
  // Running with `undefined` would not turn it on.
  storage.run({ state: 'ended', context: {}, around: undefined }, () => {})
}
