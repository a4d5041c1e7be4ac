/**
 * Listening to abort signals: one listener for each signal, however many requests have it. (Runtimes look
 * through all listeners of a signal to add one more, and warn of more than a few.)
 *
 * An earlier listener can stop the event (`stopImmediatePropagation()`), and ours then hears nothing. So
 * while a request waits, and somebody listened before us, we also listen to a signal of our own that
 * follows the caller's (`AbortSignal.any`): nobody else has that one. It costs ten microseconds or more,
 * so it is made once for a signal, and only when it is needed. A request that does not wait needs none: its
 * signal is read when its callback begins.
 */

import { builtin } from '../core/builtin.ts'
import { isAborted } from './signals.ts'

const { addEventListener, removeEventListener } = EventTarget.prototype
const any = (AbortSignal as { any?(signals: AbortSignal[]): AbortSignal }).any?.bind(AbortSignal)

interface Events {
  getEventListeners?(target: EventTarget, type: string): readonly unknown[]
}

const getEventListeners = builtin<Events>('node:events')?.getEventListeners

/** Those who wait for a signal, and what listens for them. */
interface Listening {
  readonly aborts: Set<() => void>
  readonly listener: () => void
  /** Our own signal that follows the caller's: `undefined` before it is needed, `null` if it never is. */
  follower: AbortSignal | null | undefined
}

const listening = new WeakMap<AbortSignal, Listening>()
/** The signals that follow others, kept as long as those: to make one costs more than a request. */
const followers = new WeakMap<AbortSignal, AbortSignal>()

/**
 * Calls `abort` when the signal aborts, until the answer is called. `mustHear`: also where an earlier
 * listener stops the event. Cost: a look-up and a set entry; for a signal's first one also a listener.
 */
export function onAbort(signal: AbortSignal, abort: () => void, mustHear: boolean): () => void {
  const entry = listening.get(signal) ?? listenTo(signal)
  const { aborts } = entry
  if (mustHear && entry.follower === undefined) follow(signal, entry)
  aborts.add(abort)
  return () => {
    if (aborts.delete(abort) && aborts.size === 0) leave(signal, entry)
  }
}

function listenTo(signal: AbortSignal): Listening {
  const aborts = new Set<() => void>()
  const listener = (): void => {
    if (isAborted(signal)) for (const abort of [...aborts]) abort()
  }
  // Not the signal's own methods: they may have been replaced.
  addEventListener.call(signal, 'abort', listener)
  const entry: Listening = { aborts, listener, follower: undefined }
  listening.set(signal, entry)
  return entry
}

function follow(signal: AbortSignal, entry: Listening): void {
  entry.follower = null
  if (any === undefined || isFirst(signal, entry.listener)) return
  try {
    const follower = followers.get(signal) ?? any([signal])
    followers.set(signal, follower)
    addEventListener.call(follower, 'abort', entry.listener)
    entry.follower = follower
  } catch {
    // The runtime cannot make one: we hear of whatever is not stopped.
  }
}

/** Whether nobody listened before us. False where the runtime cannot say. */
function isFirst(signal: AbortSignal, listener: () => void): boolean {
  try {
    return getEventListeners?.(signal, 'abort')[0] === listener
  } catch {
    return false
  }
}

function leave(signal: AbortSignal, { listener, follower }: Listening): void {
  listening.delete(signal)
  try {
    removeEventListener.call(signal, 'abort', listener)
    if (follower) removeEventListener.call(follower, 'abort', listener)
  } catch {
    // Its constructor was tampered with. Nobody is left who would hear of it.
  }
}
