/**
 * Promises that are settled from outside, at the lowest cost.
 *
 * A new closure as the executor would double the cost of each promise. So all promises share one executor. It
 * stores the functions of the newest promise in two variables; the code that made the promise takes them.
 *
 * All promises of requests go through the functions here. V8 inlines `Promise` and its `then` only where they
 * are constants of the same file.
 */

/** The original functions: a program may replace them later. */
const OwnPromise = globalThis.Promise
const { then } = OwnPromise.prototype
const SETTLED = OwnPromise.resolve()

let takenResolve: (value: unknown) => void = nothing
let takenReject: (reason: unknown) => void = nothing

/** The shared executor: stores the functions of the newest promise. */
export function take(resolve: (value: unknown) => void, reject: (reason: unknown) => void): void {
  takenResolve = resolve
  takenReject = reject
}

/** A promise that {@link resolverOfLast} settles. */
export function newPromise(): Promise<unknown> {
  return new OwnPromise(take)
}

/** A native promise for a value, which may be a promise or another thenable. */
export function promiseOf(value: unknown): Promise<unknown> {
  return OwnPromise.resolve(value)
}

/** Does work in its own microtask; resolves to its result. */
export function soon(work: () => unknown): Promise<unknown> {
  return then.call(SETTLED, work)
}

/** Reacts to a promise; resolves to the result of the reaction. */
export function reactTo(
  promise: Promise<unknown>,
  onFulfilled: (value: unknown) => unknown,
  onRejected?: (reason: unknown) => unknown,
): Promise<unknown> {
  return then.call(promise, onFulfilled, onRejected)
}

/** The function that rejects the newest promise. Call it before {@link resolverOfLast}. */
export function rejecterOfLast(): (reason: unknown) => void {
  return takenReject
}

/**
 * The function that resolves the newest promise. Clears both functions, so that they do not keep it in
 * memory.
 */
export function resolverOfLast(): (value: unknown) => void {
  const resolve = takenResolve
  takenResolve = nothing
  takenReject = nothing
  return resolve
}

function nothing(): void {}
