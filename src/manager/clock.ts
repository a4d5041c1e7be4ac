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

/**
 * Calls `work` after so many milliseconds, unless the answer is called before; never after too many. The
 * answer throws nothing.
 */
export function callAfter(ms: number, work: () => void): () => void {
  return start(ms, work).stop
}

/** The same, but the process need not stay alive for it. */
export function callIdlyAfter(ms: number, work: () => void): () => void {
  const { timer, stop } = start(ms, work)
  ;(timer as { unref?(): void } | undefined)?.unref?.()
  return stop
}

function start(ms: number, work: () => void): { timer: unknown; stop: () => void } {
  if (ms > LONGEST_MS) return { timer: undefined, stop: () => {} }
  let isOver = false
  const timer = setTimeout(() => {
    if (!isOver) work()
  }, ms)
  const stop = (): void => {
    isOver = true
    try {
      clearTimeout(timer)
    } catch {
      // None of those that a test has put in its place since: it will come, and do nothing.
    }
  }
  return { timer, stop }
}
