/** The options of a table, and of a thread that opens one. */

import { OptionNames } from '../../core/option-names.ts'
import type { OnLongWait } from './long-waits.ts'
import type { OnOwnerDied } from './recovery.ts'
import type { LockOrder } from './table-layout.ts'

/** Options of a new table. */
export interface SharedLocksOptions extends OpenOptions {
  /** The number of records, and so of lock numbers: from 0 to `count - 1`. */
  readonly count: number
  /**
   * Bytes from one record to the next, a multiple of 8. Default 64, one cache line each: the best value for
   * up to thousands of records; 16 or 32 is better for many more. Where every record has a lock of its own,
   * the lock uses the first 8 bytes and the rest are yours; in a striped table all are yours.
   */
  readonly recordBytes?: number | undefined
  /**
   * Shares this many locks among all records (record `i` has lock `i % stripes`). Default: a lock for
   * every record. With 64 to 1,024 stripes, the memory for locks does not grow with the number of records,
   * and {@link SharedLocks.holdAll} is cheap; 1 is a global lock.
   */
  readonly stripes?: number | undefined
  /**
   * `'ascending'` (default): taking a lower number while holding a higher one throws `LockOrderError`, so a
   * deadlock cannot happen. `'free'`: any order; a deadlock is detected when it closes, and one of its
   * threads gets `DeadlockError`. A deadlock through a nested {@link SharedLocks.holdAsync} is detected only
   * if V8's async stack trace (Node, Deno, Chromium) proves that the code around the `holdAsync` awaits it.
   */
  readonly order?: LockOrder | undefined
  /**
   * Lets a thread take a lock again that it holds. The lock is free after as many releases. Default false: a
   * second request is an error, because it mostly is a mistake. A `holdAsync` can take the locks of the
   * holdings around it again. A blocking call inside a `holdAsync` cannot: its owner is the thread. Costs
   * some ten nanoseconds a lock.
   */
  readonly reentrant?: boolean | undefined
  /** How many threads and asynchronous holdings can have the table open at once. Default 128. */
  readonly owners?: number | undefined
  /** Default `'wasm'`: a shared WebAssembly memory. `'buffer'`: a plain SharedArrayBuffer. */
  readonly memory?: 'wasm' | 'buffer' | undefined
}

/** How a thread opens a table. */
export interface OpenOptions {
  /** The name of this thread in reports. Default `thread N`. */
  readonly label?: string | undefined
  /**
   * Repairs the data that a dead thread's locks guard. Runs with all of these locks held, inside the call
   * of this thread that met one of them. When it returns, all of them are free and the call goes on. If it
   * throws, they stay abandoned and the call throws the same error. It must not be asynchronous and must
   * not request these locks. Under order `'ascending'` it must not wait for a lock below the highest of
   * them. Default: none, and the call throws `OwnerDiedError`.
   */
  readonly onOwnerDied?: OnOwnerDied | undefined
  /**
   * Reports a wait of this thread that has lasted this many milliseconds, within a further tenth of a second:
   * the lock, its holder, what the holder waits for itself, and the call stacks where known. Each stuck lock
   * is reported once, then at growing intervals; no wait is given up. Default 10,000; `Infinity`: no reports.
   */
  readonly longWaitMs?: number | undefined
  /**
   * Receives these reports. Runs inside the wait, also while the thread blocks, and must not use this table.
   * Default: a warning, which a thread that blocks writes to stderr at once.
   */
  readonly onLongWait?: OnLongWait | undefined
}

const OPEN_NAMES = ['label', 'onOwnerDied', 'longWaitMs', 'onLongWait']

/** The names of {@link OpenOptions}. */
export const OPEN_OPTIONS: OptionNames = new OptionNames(OPEN_NAMES)

/** The names of {@link SharedLocksOptions}. */
export const CREATE_OPTIONS: OptionNames = new OptionNames([
  ...['count', 'recordBytes', 'stripes', 'order', 'reentrant', 'owners', 'memory'],
  ...OPEN_NAMES,
])
