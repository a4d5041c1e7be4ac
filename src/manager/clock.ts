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
    unref(timer)
  }
  return now
}

/**
 * Calls `work` after so many milliseconds, unless the answer is called before; never after too many. The
 * answer throws nothing.
 */
export function callAfter(ms: number, work: () => void): () => void {
  return schedule(ms, work, false)
}

/** The same, but the process need not stay alive for it. */
export function callIdlyAfter(ms: number, work: () => void): () => void {
  return schedule(ms, work, true)
}

function schedule(ms: number, work: () => void, isIdle: boolean): () => void {
  if (ms > LONGEST_MS) return () => {}
  let isOver = false
  const timer = setTimeout(() => {
    if (!isOver) work()
  }, ms)
  if (isIdle) unref(timer)
  return () => {
    isOver = true
    try {
      clearTimeout(timer)
    } catch {
      // None of those that a test has put in its place since: it will come, and do nothing.
    }
  }
}

/** Lets the process end before a timer is due; browsers have nothing of the kind. */
function unref(timer: unknown): void {
  ;(timer as { unref?(): void }).unref?.()
}
