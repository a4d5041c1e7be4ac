/**
 * Promises that are settled from outside, as cheaply as can be.
 *
 * An executor that is a new closure for each promise costs as much again as the promise. So one executor
 * stands for all: it leaves the functions of the promise that was made last where they can be taken.
 */

/** The functions that were there at the beginning: a program may put others in their place. */
export const OwnPromise: PromiseConstructor = globalThis.Promise
export const promiseThen: Promise<unknown>['then'] = OwnPromise.prototype.then
export const SETTLED: Promise<void> = OwnPromise.resolve()

let takenResolve: (value: unknown) => void = nothing
let takenReject: (reason: unknown) => void = nothing

/** The executor. */
export function take(resolve: (value: unknown) => void, reject: (reason: unknown) => void): void {
  takenResolve = resolve
  takenReject = reject
}

/** What rejects the promise that was made last. Call it before {@link resolverOfLast}. */
export function rejecterOfLast(): (reason: unknown) => void {
  return takenReject
}

/** What resolves it. Takes both away from here: the promise, and what it comes to, are not kept. */
export function resolverOfLast(): (value: unknown) => void {
  const resolve = takenResolve
  takenResolve = nothing
  takenReject = nothing
  return resolve
}

function nothing(): void {}
