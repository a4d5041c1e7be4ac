/** Time: of day, cheaply, since to ask for it costs as much as a request's queues; and timers. */

/** The longest time that a timer can be set for. */
const LONGEST_MS = 2 ** 31 - 1
/** A time that was asked for stays good for so long. */
const COARSE_MS = 10

/** Not one that a test has put in its place since, and takes away before it is due. */
const realTimeout = globalThis.setTimeout

let now = 0
let isGood = false

/**
 * Milliseconds since 1970, to within 10 ms, and to within the time for which the event loop was
 * blocked.
 */
export function coarseNow(): number {
  if (!isGood) {
    now = Date.now()
    isGood = true
    const timer = realTimeout(() => {
      isGood = false
    }, COARSE_MS)
    ;(timer as { unref?(): void }).unref?.()
  }
  return now
}

/** Calls `work` after so many milliseconds, unless the answer is called before; never after too many. */
export function callAfter(ms: number, work: () => void): () => void {
  if (ms > LONGEST_MS) return () => {}
  const timer = setTimeout(work, ms)
  return () => clearTimeout(timer)
}

/** The same, but the process need not stay alive for it. */
export function callIdlyAfter(ms: number, work: () => void): () => void {
  if (ms > LONGEST_MS) return () => {}
  const timer = setTimeout(work, ms)
  ;(timer as { unref?(): void }).unref?.()
  return () => clearTimeout(timer)
}
