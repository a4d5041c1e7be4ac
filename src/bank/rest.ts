/** Standing still on purpose: to let a fault be seen, or to leave the accounts to transfers. */

/** Made where it is first needed: a browser may have no shared memory. */
let never: Int32Array | undefined

/** Lets other threads run: the shortest sleep there is, some 60 µs. */
export function giveUpTimeSlice(): void {
  sleep(0.001)
}

function sleep(ms: number): void {
  never ??= new Int32Array(new SharedArrayBuffer(4))
  Atomics.wait(never, 0, 0, ms)
}

/** A gentle audit rests so many times as long as it works: it works a fifth of the time. */
const REST = 4
/** Shorter rests are saved up, for a sleep takes some 60 µs more than was asked for. */
const SHORTEST_REST_MS = 0.2

/** The rests of one thread's gentle audits. */
export class Pace {
  #workingSinceMs = 0
  #owedMs = 0

  /** A part of the work begins. */
  begin(): void {
    this.#workingSinceMs = performance.now()
  }

  /** A part of the work is done: rests for as long as is owed. */
  rest(): void {
    this.#owedMs += REST * (performance.now() - this.#workingSinceMs)
    if (this.#owedMs < SHORTEST_REST_MS) return
    sleep(this.#owedMs)
    this.#owedMs = 0
  }
}
