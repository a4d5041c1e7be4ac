/**
 * Checks, for requests that never wait, whether the holders of a busy lock live: a thread that only tries has
 * no sleep after which it would notice.
 *
 * Cost: a check asks the system. Each holder is checked at most once in MAX_SLEEP_MS, as often as a
 * waiting thread does it.
 */

import { elapsedMs } from '../../core/clock.ts'
import { noticeEndOf } from './deaths.ts'
import { SHARED } from './layout.ts'
import type { Owner } from './owners.ts'
import { readersOf } from './readers.ts'
import { ownerIn, type Table } from './table.ts'
import { MAX_SLEEP_MS } from './wait.ts'

/** The checks of one thread. */
export class HolderChecks {
  readonly #table: Table
  readonly #owner: Owner
  /**
   * When each owner was last checked; the readers of lock `i` are under `-1 - i`. Holds only checks of the
   * last MAX_SLEEP_MS, oldest first.
   */
  readonly #checkedMs = new Map<number, number>()

  constructor(table: Table, owner: Owner) {
    this.#table = table
    this.#owner = owner
  }

  /** Checks the holders of a lock whose word was `seen`, and cleans up after those that have ended. */
  check(lock: number, seen: number): void {
    const now = elapsedMs()
    this.#checkOwner(ownerIn(seen), now)
    // Otherwise each try would read the whole row.
    if ((seen & SHARED) === 0 || !this.#isDue(-1 - lock, now)) return
    for (const reader of readersOf(this.#table, lock)) this.#checkOwner(reader, now)
  }

  #checkOwner(id: number, now: number): void {
    if (id !== 0 && this.#isDue(id, now)) noticeEndOf(this.#table, this.#owner, id)
  }

  /** Whether the last check under this key was long enough ago, or there was none; if so, notes a new one. */
  #isDue(key: number, now: number): boolean {
    const checked = this.#checkedMs
    if (now - (checked.get(key) ?? Number.NEGATIVE_INFINITY) < MAX_SLEEP_MS) return false
    for (const [old, checkedMs] of checked) {
      if (now - checkedMs < MAX_SLEEP_MS) break
      checked.delete(old)
    }
    checked.set(key, now)
    return true
  }
}
