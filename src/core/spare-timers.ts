/**
 * Timers for a runtime whose own are out of reach: node:test's mock timers replace the globals and those of
 * `node:timers`, and keep the originals to themselves.
 *
 * Steps     A timer is an `Atomics.waitAsync` with a time limit, on a word of its own. Cancelling it
 *           notifies the word. A wait of that kind does not keep a process alive, so a message port does
 *           while a timer is pending.
 * Cost      nothing unless mock timers are found when this package is loaded; then some microseconds a timer.
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

/** As long as a timer can be. */
const MAX_MS = 2 ** 31 - 1

let port: Port | undefined
let kept = 0

/** Keeps the process alive until the function that it returns is called. */
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
    // With a limit of 0 it would not wait at all.
    const { value } = Atomics.waitAsync(word, 0, 0, Math.max(1, dueMs - performance.now()))
    void Promise.resolve(value).then((end) => {
      // Counted from when the event loop last looked at the clock, it ends early.
      if (end === 'timed-out' && performance.now() < dueMs) sleep()
      else {
        letEnd()
        // As a step of its own, so that what it throws is an uncaught exception, as of any timer.
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
  // Used to keep a process alive, and for nothing else.
  setInterval: (work: () => void) => setTimer(work, MAX_MS),
  clearInterval: clearTimer,
  setImmediate: (work: () => void) => setTimer(work),
  Date: { now: () => performance.timeOrigin + performance.now() },
}

/** The substitute for a global of this name, if node:test has replaced it and there is one. */
export function spareFor(name: string, current: unknown): unknown {
  return isMocked(current) && typeof Atomics.waitAsync === 'function' ? spare[name] : undefined
}

/** The mocks are private methods, bound; the mocked Date says so. */
function isMocked(current: unknown): boolean {
  if (typeof current !== 'function') return false
  return current.name.startsWith('bound #') || (current as { isMock?: unknown }).isMock === true
}
