/** The time of day, cheaply: to ask for it costs as much as a request's queues. */

/** A time that was asked for stays good for so long. */
const COARSE_MS = 10

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
    const timer = setTimeout(() => {
      isGood = false
    }, COARSE_MS)
    ;(timer as { unref?(): void }).unref?.()
  }
  return now
}
