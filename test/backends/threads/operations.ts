/** Counts operations on shared memory, those without `Atomics` not counted. */

/** How many operations a call needs. */
export function operationsOf(call: () => void): number {
  const stop = countOperations()
  try {
    call()
  } finally {
    stop()
  }
  return stop()
}

/** Counts this thread's operations until the function that it returns is called, which says how many there were. */
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
