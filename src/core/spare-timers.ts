/**
 * Timers for when the runtime's own are out of reach: node:test's mock timers replace the globals and those
 * of `node:timers`, and do not expose the originals.
 *
 * Steps     A timer is an `Atomics.waitAsync` with a time limit, on a word of its own. Cancelling it
 *           notifies the word. Such a wait does not keep a process alive, so a message port does, while a
 *           timer is pending.
 * Cost      Nothing unless mock timers are found when this package is loaded; then some microseconds a timer.
 */

interface Port {
  onmessage: unknown
  ref?(): void
  unref?(): void
}

/** One pending timer. */
interface SpareTimer {
  readonly word: Int32Array
  unref(): void
}

/** The longest delay that a timer accepts. */
const MAX_MS = 2 ** 31 - 1

let port: Port | undefined
let kept = 0

/** Keeps the process alive until the returned function is called. */
function keepAlive(): () => void {
  port ??= newPort()
  if (++kept === 1) port.ref?.()
  let isKept = true
  return () => {
    if (!isKept) return
    isKept = false
    if (--kept === 0) port?.unref?.()
  }
}

function newPort(): Port {
  const { port1 } = new MessageChannel() as unknown as { port1: Port }
  // A port counts for the event loop only if it has a listener.
  port1.onmessage = () => {}
  return port1
}

function setTimer(work: () => void, ms = 1): SpareTimer {
  const word = new Int32Array(new SharedArrayBuffer(4))
  const letEnd = keepAlive()
  const dueMs = performance.now() + ms
  const sleep = (): void => {
    // A limit of 0 would not wait at all.
    const { value } = Atomics.waitAsync(word, 0, 0, Math.max(1, dueMs - performance.now()))
    void Promise.resolve(value).then((end) => {
      // The runtime counts from when the event loop last read the clock, so the wait can end early.
      if (end === 'timed-out' && performance.now() < dueMs) sleep()
      else {
        letEnd()
        // Runs as a microtask of its own: what it throws becomes an uncaught exception, as with any timer.
        if (end === 'timed-out') queueMicrotask(work)
      }
    })
  }
  sleep()
  return { word, unref: letEnd }
}

function clearTimer(timer: SpareTimer | undefined): void {
  if (timer === undefined) return
  timer.unref()
  Atomics.notify(timer.word, 0)
}

const spare: Readonly<Record<string, unknown>> = {
  setTimeout: setTimer,
  clearTimeout: clearTimer,
  // Used only to keep a process alive.
  setInterval: (work: () => void) => setTimer(work, MAX_MS),
  clearInterval: clearTimer,
  setImmediate: (work: () => void) => setTimer(work),
  Date: { now: () => performance.timeOrigin + performance.now() },
}

/** The substitute for a global of this name, if node:test has replaced it and a substitute exists. */
export function spareFor(name: string, current: unknown): unknown {
  return isMocked(current) && typeof Atomics.waitAsync === 'function' ? spare[name] : undefined
}

/** The mocks are bound private methods; the mocked Date has a property `isMock`. */
function isMocked(current: unknown): boolean {
  if (typeof current !== 'function') return false
  return current.name.startsWith('bound #') || (current as { isMock?: unknown }).isMock === true
}
