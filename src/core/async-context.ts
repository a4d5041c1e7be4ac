/** Values that travel along asynchronous calls: the runtime's AsyncLocalStorage (Node, Bun, Deno). */

import { builtin } from './builtin.ts'

/** The part of `AsyncLocalStorage` that is used here. */
export interface AsyncContext<Value> {
  /** False while it does not watch promises; absent where it need not. */
  readonly enabled?: boolean
  getStore(): Value | undefined
  enterWith(value: Value): void
  run<Result>(value: Value | undefined, work: () => Result): Result
}

/** A new one; `undefined` where the runtime has none, as in browsers. */
export function newAsyncContext<Value>(): AsyncContext<Value> | undefined {
  try {
    const hooks = builtin<{ AsyncLocalStorage: new () => AsyncContext<Value> }>('node:async_hooks')
    return hooks && new hooks.AsyncLocalStorage()
  } catch {
    return undefined
  }
}
