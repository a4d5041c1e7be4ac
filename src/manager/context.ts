/**
 * Who is asking: the holder in whose callback the code runs that makes a request.
 *
 * It travels in an AsyncLocalStorage where the runtime has one (Node, Bun, Deno). Elsewhere,
 * in browsers first of all, a nested request is made through the callback's second parameter.
 */

import { newAsyncContext } from '../core/async-context.ts'

/** A holder, as far as it must be known here. */
export interface Carried {
  readonly state: string
  /** The context of its manager. */
  readonly context: object
  /** The holder in whose callback its own callback was called, of any manager. */
  around: Carried | undefined
}

/** One for all managers: what a runtime does for each storage, it may do for each promise from then on. */
const storage = newAsyncContext<Carried>()
let isOn = false

/** Whether the runtime can tell in whose callback code runs. */
export const isCarried: boolean = storage !== undefined

/** Carries the holders of one manager along asynchronous calls. */
export class Context<Own extends Carried, Host = unknown> {
  /** The manager, as its requests know it. */
  readonly host: Host

  constructor(host: Host) {
    this.host = host
  }

  /** The holder that the running code belongs to; `undefined` where there is none. */
  get current(): Own | undefined {
    // Before it is first used, a storage does not see promises: the first holder would be everybody's.
    if (!isOn) turnOn()
    let at = storage?.getStore()
    while (at !== undefined && at.context !== this) at = at.around
    return at as Own | undefined
  }

  /** Makes the rest of the running microtask, and all that it starts, a holder's. */
  enter(holder: Own): void {
    if (storage === undefined) return
    const around = unended(storage.getStore())
    // Whoever is kept in memory must not keep all who were before it.
    if (around !== undefined) around.around = unended(around.around)
    holder.around = around
    storage.enterWith(holder)
  }
}

/** Does work that belongs to no holder, whoever has it done. */
export function outside(work: () => void): void {
  if (storage) storage.run(undefined, work)
  else work()
}

function unended(from: Carried | undefined): Carried | undefined {
  let at = from
  while (at?.state === 'ended') at = at.around
  return at
}

/** Where promises must be watched for a storage (Node below 24), that begins with its first use. */
function turnOn(): void {
  isOn = true
  // Elsewhere this would only leave an entry in every context.
  if (storage?.enabled !== false) return
  // To enter nothing would turn nothing on.
  storage.run({ state: 'ended', context: {}, around: undefined }, () => {})
}
