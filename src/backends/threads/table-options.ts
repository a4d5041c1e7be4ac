/** The options of a table, and of a thread that opens one. */

import { OptionNames } from '../../core/option-names.ts'
import type { OnLongWait } from './long-waits.ts'
import type { OnOwnerDied } from './recovery.ts'
import type { LockOrder } from './table-layout.ts'

/** Options of a new table. */
export interface SharedLocksOptions extends OpenOptions {
  /** How many records, and so how many lock numbers: from 0 to `count - 1`. */
  readonly count: number
  /**
   * Bytes from one record to the next, a multiple of 8. Default 64: a cache line each, which is best
   * up to thousands of records; 16 or 32 is better for many more. Where every record has a lock of its
   * own the first 8 bytes are the lock's and the rest are yours; in a striped table all are yours.
   */
  readonly recordBytes?: number | undefined
  /**
   * Share this many locks among all records (record `i` has lock `i % stripes`). Default: a lock for
   * every record. 64 to 1,024 stripes keep memory flat and make {@link SharedLocks.holdAll} cheap;
   * 1 is a global lock.
   */
  readonly stripes?: number | undefined
  /**
   * `'ascending'` (default): taking a lower number while holding a higher one throws
   * `LockOrderError`, so a deadlock cannot happen. `'free'`: any order; a deadlock is detected when
   * it closes and one of its threads gets `DeadlockError`. A {@link SharedLocks.holdAsync} that is nested in
   * another holding counts only if the code around it is proved to await it: by V8's async stack trace (Node,
   * Deno, Chromium).
   */
  readonly order?: LockOrder | undefined
  /**
   * Lets a thread take a lock again that it holds: it is free when it was freed as often. Default false:
   * then it is an error, since it mostly is one. For asynchronous holdings it means those inside one
   * another; a blocking call inside one is still another owner's. Costs some ten nanoseconds a lock.
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
   * Repairs what a thread left that ended while it held locks: called with all of that thread's locks
   * held, inside whatever call of this thread met one of them. When it returns, all of them are free
   * and the call goes on; when it throws, they stay abandoned and the call throws the same. Must not
   * be asynchronous, must not ask for these locks, and under order `'ascending'` must not wait for a lower one
   * than the highest of them. Default: none, and the call throws `OwnerDiedError`.
   */
  readonly onOwnerDied?: OnOwnerDied | undefined
  /**
   * Reports a wait of this thread that has lasted for so many milliseconds, within a further tenth of a
   * second: which lock, its holder, what that waits for itself, and the call stacks where known. Each
   * stuck lock is reported once, then at growing intervals; nothing is given up. Default 10,000;
   * `Infinity`: no reports.
   */
  readonly longWaitMs?: number | undefined
  /**
   * Gets these reports. It runs inside the wait, also while the thread blocks, and must not use this table.
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
