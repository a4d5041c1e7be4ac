/**
 * Abort signals: one listener for each, however many requests have the same signal. Runtimes look through
 * all listeners of a signal to add one more, and warn of more than a few.
 */

const { addEventListener, removeEventListener } = EventTarget.prototype
const getAborted = Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'aborted')?.get
const getReason = Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'reason')?.get

/** Those who wait for a signal, and what takes the listener away again. */
interface Waiting {
  readonly aborts: Set<() => void>
  leave(): void
}

const waiting = new WeakMap<AbortSignal, Waiting>()

/** Calls `abort` when the signal aborts, until the answer is called. Cost: a look-up and a set entry. */
export function onAbort(signal: AbortSignal, abort: () => void): () => void {
  const entry = waiting.get(signal) ?? listenTo(signal)
  const { aborts } = entry
  aborts.add(abort)
  return () => {
    if (aborts.delete(abort) && aborts.size === 0) entry.leave()
  }
}

/** Whether a signal has aborted, whatever it says itself. Not, where it cannot be asked. */
export function isAborted(signal: AbortSignal): boolean {
  try {
    return getAborted ? (getAborted.call(signal) as boolean) : signal.aborted
  } catch {
    return false
  }
}

/** Why a signal has aborted, whatever it says itself. */
export function reasonOf(signal: AbortSignal): unknown {
  try {
    return getReason ? getReason.call(signal) : signal.reason
  } catch (error) {
    return error
  }
}

function listenTo(signal: AbortSignal): Waiting {
  const aborts = new Set<() => void>()
  const listener = (): void => {
    if (isAborted(signal)) for (const abort of [...aborts]) abort()
  }
  const entry = {
    aborts,
    leave: () => {
      waiting.delete(signal)
      try {
        removeEventListener.call(signal, 'abort', listener)
      } catch {
        // Not quite a signal. Nobody is left who would hear of it.
      }
    },
  }
  // Not the signal's own methods: they may have been replaced.
  addEventListener.call(signal, 'abort', listener)
  waiting.set(signal, entry)
  return entry
}
