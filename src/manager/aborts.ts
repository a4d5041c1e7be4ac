/**
 * Listens to abort signals, with one listener for each signal, however many requests use it. (Runtimes scan
 * all listeners of a signal to add another one, and warn if there are more than a few.)
 *
 * An earlier listener can stop the event with `stopImmediatePropagation()`: then this module's listener is
 * not called. So while a request waits and the signal has an earlier listener, this module also listens to a
 * private signal that follows the caller's (`AbortSignal.any`). Making one costs ten microseconds or more, so
 * it is made once for a signal, and only if needed. A request that does not wait needs none: its signal is
 * read when its callback begins.
 */

import { builtin } from '../core/builtin.ts'
import { isAborted } from './signals.ts'

const { addEventListener, removeEventListener } = EventTarget.prototype
const any = (AbortSignal as { any?(signals: AbortSignal[]): AbortSignal }).any?.bind(AbortSignal)

interface Events {
  getEventListeners?(target: EventTarget, type: string): readonly unknown[]
}

const getEventListeners = builtin<Events>('node:events')?.getEventListeners

/** The functions to call when a signal aborts, and the listener that calls them. */
interface Listening {
  readonly aborts: Set<() => void>
  readonly listener: () => void
  /**
   * The private signal that follows the caller's: `undefined` until it is needed, `null` if there is none.
   */
  follower: AbortSignal | null | undefined
}

const listening = new WeakMap<AbortSignal, Listening>()
/**
 * The private signals, kept as long as the signals that they follow: making one costs more than a request.
 */
const followers = new WeakMap<AbortSignal, AbortSignal>()

/**
 * Calls `abort` when the signal aborts, until the returned function is called. `mustHear`: also if an earlier
 * listener stops the event. Cost: a look-up and a set entry; for the first call for a signal also a listener.
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
    // The runtime cannot make one. Only an abort whose event is not stopped arrives.
  }
}

/** Whether there was no earlier listener. False if the runtime cannot say. */
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
    // The signal's constructor was modified. No listener is left to call.
  }
}
