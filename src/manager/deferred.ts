/**
 * Promises that are settled from outside, as cheaply as can be.
 *
 * An executor that is a new closure for each promise costs as much again as the promise. So one executor
 * stands for all: it leaves the functions of the promise that was made last where they can be taken.
 *
 * All that is promised goes through the functions here. V8 compiles `Promise` and its `then` in line only
 * where they are constants of the same file.
 */

/** The functions that were there at the beginning: a program may put others in their place. */
const OwnPromise = globalThis.Promise
const { then } = OwnPromise.prototype
const SETTLED = OwnPromise.resolve()

let takenResolve: (value: unknown) => void = nothing
let takenReject: (reason: unknown) => void = nothing

/** The executor. */
export function take(resolve: (value: unknown) => void, reject: (reason: unknown) => void): void {
  takenResolve = resolve
  takenReject = reject
}

/** A promise that {@link resolverOfLast} settles. */
export function newPromise(): Promise<unknown> {
  return new OwnPromise(take)
}

/** A promise of the language's own for a value, which may be a promise or another thenable. */
export function promiseOf(value: unknown): Promise<unknown> {
  return OwnPromise.resolve(value)
}

/** Does work in a microtask of its own; resolves to its result. */
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

/** The function that rejects the promise that was made last. Call it before {@link resolverOfLast}. */
export function rejecterOfLast(): (reason: unknown) => void {
  return takenReject
}

/** The function that resolves it. Both functions are forgotten here, so that the promise is not kept. */
export function resolverOfLast(): (value: unknown) => void {
  const resolve = takenResolve
  takenResolve = nothing
  takenReject = nothing
  return resolve
}

function nothing(): void {}
