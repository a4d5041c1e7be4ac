/** Counts operations on shared memory by `Atomics`. */

/** The number of operations that a call performs. */
export function operationsOf(call: () => void): number {
  const stop = countOperations()
  try {
    call()
  } finally {
    stop()
  }
  return stop()
}

/** Counts this thread's operations until the returned function is called, which returns their number. */
export function countOperations(): () => number {
  const real = globalThis.Atomics
  let operations = 0
  const counted = new Proxy(real, {
    get: (_, name: keyof Atomics) => {
      operations++
      return real[name]
    },
  })
  Object.assign(globalThis, { Atomics: counted })
  return () => {
    Object.assign(globalThis, { Atomics: real })
    return operations
  }
}
