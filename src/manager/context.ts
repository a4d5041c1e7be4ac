/**
 * Who is asking: the holder in whose callback the code runs that makes a request.
 *
 * It travels in an AsyncLocalStorage where the runtime has one (Node from 20.16, Bun, Deno). Elsewhere,
 * in browsers first of all, a nested request is made through the callback's second parameter.
 */

/** The little of `AsyncLocalStorage` that is used here. */
interface Storage<Value> {
  getStore(): Value | undefined
  enterWith(value: Value): void
}

interface Runtime {
  readonly process?: {
    getBuiltinModule?(name: string): { AsyncLocalStorage: new () => Storage<never> } | undefined
  }
}

/** Carries a value along an asynchronous call. */
export class Context<Value> {
  readonly #storage: Storage<Value> | undefined = newStorage()

  /** Whether values travel by themselves on this runtime. */
  get travels(): boolean {
    return this.#storage !== undefined
  }

  /** The value of the running code; `undefined` where none was entered. */
  get current(): Value | undefined {
    return this.#storage?.getStore()
  }

  /** Gives a value to the rest of the running microtask, and to all that it starts. */
  enter(value: Value): void {
    this.#storage?.enterWith(value)
  }
}

function newStorage<Value>(): Storage<Value> | undefined {
  try {
    const { process } = globalThis as Runtime
    const hooks = process?.getBuiltinModule?.('node:async_hooks')
    return hooks && (new hooks.AsyncLocalStorage() as Storage<Value>)
  } catch {
    return undefined
  }
}
