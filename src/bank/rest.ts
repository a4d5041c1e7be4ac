/** Deliberate pauses: to make a fault visible, or to leave the accounts to transfers. */

/** Made on first use: a browser may have no shared memory. */
let never: Int32Array | undefined

/** Lets other threads run: the shortest possible sleep, about 60 µs. */
export function giveUpTimeSlice(): void {
  sleep(0.001)
}

function sleep(ms: number): void {
  never ??= new Int32Array(new SharedArrayBuffer(4))
  Atomics.wait(never, 0, 0, ms)
}

/** A gentle audit rests this many times as long as it works, and so works a fifth of the time. */
const REST = 4
/** Shorter rests are accumulated, because a sleep takes about 60 µs longer than requested. */
const SHORTEST_REST_MS = 0.2

/** The rests of one thread's gentle audits. */
export class Pace {
  #workingSinceMs = 0
  #owedMs = 0

  /** Begins a part of the work. */
  begin(): void {
    this.#workingSinceMs = performance.now()
  }

  /** Ends a part of the work, and rests for the time owed. */
  rest(): void {
    this.#owedMs += REST * (performance.now() - this.#workingSinceMs)
    if (this.#owedMs < SHORTEST_REST_MS) return
    sleep(this.#owedMs)
    this.#owedMs = 0
  }
}
