/**
 * The shared memory of a lock table: what lies where, who may write it, and what a lock word means.
 *
 * ```
 * 0            header           one line of constants, one line each for the sleep count and the table lock
 * 192          owner slots      `owners` slots of OWNER_BYTES (+ STACK_BYTES where order is 'free')
 * locksBase    locks            `lockCount` of them, `lockStride` bytes apart
 * recordsBase  records          `count` of them, `recordBytes` apart; where every record has a lock of
 *                               its own, the record *is* the lock's line: word, link, user's bytes
 * rowsBase     readers          a row of bits for every lock: which owners hold it shared
 * nodesBase    nodes            one for every owner: stands in its list for all locks it holds shared
 * guestBase    guest slot       one more owner slot, which holds no locks: for a thread that finds all in
 *                               use and clears up after those that have ended (owner-slots.ts)
 * ```
 *
 * A lock word, who writes it, and who may be asleep on it:
 *
 * | word                          | state                        | written by            | asleep |
 * | ----------------------------- | ---------------------------- | --------------------- | ------ |
 * | 0                             | free                         | the holder, freeing   | only waiters already woken, or one that a wake-up is on its way to |
 * | owner << 4                    | held                         | the taker             | nobody |
 * | owner << 4 \| WAITER          | held, someone may sleep      | a waiter, or a taker that slept | threads; freeing wakes one |
 * | owner << 4 \| WAITER \| WAKE_ALL | held, a task may sleep too | a waiting task        | threads and tasks; freeing wakes all |
 * | any held state \| ABANDONED    | its owner died holding it    | a sweep (sweep.ts) | while an heir repairs, anyone |
 * | SHARED                        | open to readers: those in its row hold it, if any | a reader; or a pending writer that gives up | nobody: all who wake find it open |
 * | any held state \| SHARED       | its owner is a pending writer: it waits for the readers in the row to leave | the pending writer | as above; the pending writer on the row |
 *
 * The waiter bits are cleared only by freeing the lock, and by a sweep, which wakes all; a taker that
 * has slept sets WAITER again, because others may still sleep behind it. The last reader to leave does
 * not clear SHARED: the next who wants the lock alone finds the row empty (readers.ts).
 *
 * The link beside the word (LINK_OFFSET) is written by the holder alone.
 */

/** Someone may be asleep on this lock: freeing it must wake one. */
export const WAITER = 1
/** An asynchronous task may be asleep on it, and cannot be relied on to run soon: wake all. */
export const WAKE_ALL = 2
/** The owner died while it held this lock: what the lock guards may be half changed. */
export const ABANDONED = 4
/** Readers may hold this lock: its row says who. Beside an owner: it waits until they have left. */
export const SHARED = 8
/** The owner's number stands above the flag bits. */
export const OWNER_SHIFT = 4
/** The largest number of owners a word has room for, with one more for the guest. */
export const MAX_OWNERS = 0xfffe

/** From a lock word to its link: the lock its holder took before it, 0 for none. */
export const LINK_OFFSET = 4
/** From a lock word to the user's bytes. */
export const DATA_OFFSET = 8

/** A word that is not used, and a link. */
export const NODE_BYTES = 8
/** Call stacks are published up to this many bytes of UTF-8. */
export const STACK_BYTES = 4096
/** Labels are kept up to this many bytes of UTF-8. */
export const LABEL_BYTES = 120

/** Memory comes in pages of this size. */
export const PAGE_BYTES = 65536

/** Addresses in the header. */
export const HEADER = {
  magic: 0,
  version: 4,
  count: 8,
  lockCount: 12,
  recordBytes: 16,
  order: 20,
  owners: 24,
  reentrant: 28,
  /** Raised by whoever is about to sleep, after setting WAITER and before sleeping. */
  sleepCount: 64,
  /** 0, or the number of the owner that confirms a deadlock: one at a time. */
  tableLock: 128,
} as const

/** Owner slots begin here. */
export const HEADER_BYTES = 192

/** Where things lie in an owner's slot. Its first line is written by the owner alone. */
export const SLOT = {
  /** The head of the list of locks held: the address of the last one taken, 0 for none. */
  top: 0,
  /** Always 0: what a nap sleeps on, and a task behind others of its thread (task-queue.ts). */
  nap: 4,
  /**
   * The address of the lock that it is about to take or to free without its kernel, written before and
   * left there: between the two steps the lock may carry it and not be on its list (deaths.ts). For a
   * dead owner also UNLISTED.
   */
  intent: 8,
  /** In how many rows of readers its bit may stand beside those in `reads`: raised before, lowered after. */
  moreReads: 12,
  /** The addresses of READS locks, or 0, in whose rows its bit may stand: written before, cleared after. */
  reads: 16,
  /** For a task nested in its thread: the entry of the thread's list that was held before it, see `parent`. */
  under: 60,
  /**
   * FREE_SLOT, or what kind of owner this is beside the system's number of its thread (TAG_SHIFT).
   * Taken by compare-exchange; THREAD_SLOT and TASK_SLOT are freed by the owner, or become DEAD_SLOT
   * by whoever notices its death, then SOUND_SLOT by its heir, and are freed by whoever sweeps.
   */
  kind: 64,
  /** For a task: the owner number of the thread it runs on. */
  thread: 68,
  /**
   * For a nested task: the owner number of the task it is nested in, or of its thread, where that held locks
   * when the task was asked for. 0 once that one has ended.
   */
  parent: 72,
  /** The address of the lock it waits for, 0 for none. Stands from before the first sleep until the
   *  lock is granted or given up, through spurious wake-ups too. */
  waitsFor: 76,
  /** Raised whenever `waitsFor` changes: two equal readings mean one unbroken wait. */
  epoch: 80,
  labelBytes: 84,
  stackBytes: 88,
  /** The kind of its thread's lifeline: none, a system thread, or which file descriptor (lifelines.ts). */
  lifeline: 92,
  /** When the wait began; of a task that does not wait, when it got its locks: a float64, milliseconds since 1970. */
  since: 96,
  /** The label, then (order 'free' only) the stack: UTF-8. */
  label: 104,
  /** Which system thread or file the lifeline is, and when it was made: float64s. */
  lifelineNumber: 224,
  lifelineMade: 240,
  /** For a dead thread: the owner that repairs what it left, 0 for none. */
  heir: 232,
  /** 1 while the owner waits to hold a lock shared, else 0. */
  waitsShared: 236,
  /** The number of the thread whose lifeline stands here: written after it, so that both are of one owner. */
  lifelineTag: 248,
  /**
   * For a nested task: the last verdict whether its parent waits for it (PROVED), whether a new one is
   * wanted (WANTED, set by any owner), and how many verdicts there were, in units of VERDICT.
   */
  proof: 252,
  stack: 256,
} as const

/** The `intent` of a dead owner whose list does not have all that it holds. */
export const UNLISTED = -1

/** A slot has room for so many locks held shared; the others are only counted. */
export const READS = 11

/** A slot without its stack. */
export const OWNER_BYTES = 256

/** The kind of owner, in the lowest bits of a slot's `kind`. */
export const FREE_SLOT = 0
export const THREAD_SLOT = 1
export const TASK_SLOT = 2
/** Its thread ended: the locks that carry it are abandoned. */
export const DEAD_SLOT = 3
/** Its thread ended, and an heir has said that what it left is sound: the locks that carry it are to be freed. */
export const SOUND_SLOT = 4
/** The proof word of a new owner. */
export const NOT_PROVED = 0
/** The bits of a proof word: the parent was found to wait; a new verdict is wanted; one verdict more. */
export const PROVED = 1
export const WANTED = 2
export const VERDICT = 4

/** Above the kind stands the system's number of the thread, never used twice in a process. */
export const TAG_SHIFT = 3
