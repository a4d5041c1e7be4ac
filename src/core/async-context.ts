/** Context values that follow asynchronous calls: the runtime's AsyncLocalStorage (Node, Bun, Deno). */

import { builtin } from './builtin.ts'

/** The part of `AsyncLocalStorage` that this library uses. */
export interface AsyncContext<Value> {
  /** False while the context does not track promises; absent in runtimes that always track them. */
  readonly enabled?: boolean
  getStore(): Value | undefined
  enterWith(value: Value): void
  run<Result>(value: Value | undefined, work: () => Result): Result
}

/** Makes a context; `undefined` in runtimes without one, such as browsers. */
export function newAsyncContext<Value>(): AsyncContext<Value> | undefined {
  try {
    const hooks = builtin<{ AsyncLocalStorage: new () => AsyncContext<Value> }>('node:async_hooks')
    return hooks && new hooks.AsyncLocalStorage()
  } catch {
    return undefined
  }
}
