/**
 * The shared memory of a lock table: the position of each part, who may write it, and what a lock word means.
 *
 * ```
 * 0            header           one line of constants, one line each for the sleep count and the table lock
 * 192          owner slots      `owners` slots of OWNER_BYTES (+ STACK_BYTES where order is 'free')
 * locksBase    locks            `lockCount` of them, `lockStride` bytes apart
 * recordsBase  records          `count` of them, `recordBytes` apart; where every record has a lock of
 *                               its own, the record *is* the lock's line: word, link, user's bytes
 * rowsBase     readers          a row of bits for every lock: which owners hold it shared
 * nodesBase    nodes            one for every owner: its list entry for all locks that it holds shared
 * guestBase    guest slot       one more owner slot, which holds no locks: for a thread that finds all in
 *                               use and cleans up after those that have ended (owner-slots.ts)
 * ```
 *
 * A lock word, who writes it, and who may sleep on it:
 *
 * | word                          | state                        | written by            | asleep |
 * | ----------------------------- | ---------------------------- | --------------------- | ------ |
 * | 0                             | free                         | the holder that releases it; a sweep after a repair | waiters whose wake-up is on its way, or whose bits were erased (acquire.ts) |
 * | owner << 4                    | held                         | the owner that takes it | nobody |
 * | owner << 4 \| WAITER          | held, someone may sleep      | a waiter, or an owner that takes it after a sleep | threads; a release wakes one |
 * | owner << 4 \| WAITER \| WAKE_ALL | held, a task or reader may sleep too | a waiting task or reader | threads and tasks; a release wakes all |
 * | any held state \| ABANDONED    | its owner died holding it    | a sweep (sweep.ts) | during a repair, anyone |
 * | SHARED                        | open to readers: those in its row hold it, if any | a reader; a pending writer that gives up; a sweep, for a dead pending writer | nobody: all who wake find it open |
 * | any held state \| SHARED       | its owner is a pending writer: it waits for the readers in the row to leave | the pending writer | as for that held state; on the row, the pending writer |
 *
 * Only a release, a sweep, or a pending writer that gives up clears the waiter bits. The latter two wake all
 * sleepers. An owner that takes the lock after a sleep sets WAITER again, because others may still sleep. The
 * last reader to leave does not clear SHARED: the next exclusive request finds the row empty (readers.ts).
 *
 * Only the holder writes the link beside the word (LINK_OFFSET).
 */

/** Someone may sleep on this lock: its release must wake one. */
export const WAITER = 1
/**
 * A task or reader may sleep on this lock. The lock's release must wake all: a woken task may not run soon,
 * and readers enter together.
 */
export const WAKE_ALL = 2
/** The owner died while it held this lock: the data that it guards may be half changed. */
export const ABANDONED = 4
/** Readers may hold this lock: its row names them. Beside an owner: the owner waits until they have left. */
export const SHARED = 8
/** The owner's number is above the flag bits. */
export const OWNER_SHIFT = 4
/**
 * The maximum number of owners. Their numbers, and the guest's after them, must fit in 16 bits of the table
 * lock's word (table-lock.ts).
 */
export const MAX_OWNERS = 0xfffe

/** From a lock word to its link: the address of the lock that its holder took before it, 0 for none. */
export const LINK_OFFSET = 4
/** From a lock word to the user's bytes. */
export const DATA_OFFSET = 8

/** The size of an owner's node: an unused word and a link. */
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
  /** Raised by each waiter that is about to sleep, after it sets WAITER and before it sleeps. */
  sleepCount: 64,
  /** 0, or the owner that has the table lock, and its thread (table-lock.ts). */
  tableLock: 128,
} as const

/** Owner slots begin here. */
export const HEADER_BYTES = 192

/**
 * The offsets in an owner's slot. Only the owner writes the first cache line. After its thread has ended,
 * other owners do, under the table lock.
 */
export const SLOT = {
  /** The head of the list of locks held: the address of the last one taken, 0 for none. */
  top: 0,
  /**
   * Always 0. A thread that backs off sleeps on it. So does a task while other tasks of its thread are ahead
   * of it in the queue for a lock (task-queue.ts).
   */
  backOff: 4,
  /**
   * The address of the lock that the owner is about to take or release without its kernel. Written before
   * that step, and not cleared after it. In between, the lock's word may name the owner although the lock is
   * not on the owner's list (deaths.ts). For a dead owner also UNLISTED.
   */
  intent: 8,
  /**
   * The number of rows, besides those in `reads`, in which the owner's bit may be set. Raised before the bit
   * is set, lowered after it is cleared.
   */
  moreReads: 12,
  /**
   * READS words: each is 0, or the address of a lock in whose row the owner's bit may be set. Written before
   * the bit is set, cleared after it is cleared.
   */
  reads: 16,
  /**
   * For a task nested in its thread: the oldest entry on the thread's list when the task was registered. The
   * thread counts as the parent only while it holds that entry.
   */
  under: 60,
  /**
   * FREE_SLOT, or the kind of owner and, above it, the runtime's number of its thread (TAG_SHIFT). An owner
   * takes the slot by compare-exchange. The owner gives back a THREAD_SLOT or TASK_SLOT itself. Otherwise the
   * owner that notices its death makes it DEAD_SLOT, its recovering owner makes it CONSISTENT_SLOT, and a
   * sweep gives it back.
   */
  kind: 64,
  /** For a task: the owner number of the thread it runs on. */
  thread: 68,
  /**
   * For a nested task: the owner number of the task in which it is nested; or of its thread, if that held
   * locks when the task was registered. When the outer task ends: that of the task around it, 0 for none.
   */
  parent: 72,
  /**
   * The address of the lock that the owner waits for, 0 for none. Set from before the first sleep until the
   * lock is granted or given up, also during spurious wake-ups. A reader clears it during each try to enter.
   */
  waitsFor: 76,
  /** Raised whenever `waitsFor` changes: two equal readings mean one unbroken wait. */
  epoch: 80,
  labelBytes: 84,
  stackBytes: 88,
  /**
   * The `kind` of its thread's lifeline (lifelines.ts): NO_LIFELINE, SYSTEM_THREAD, or one more than a file
   * descriptor.
   */
  lifeline: 92,
  /**
   * When the wait began, or when a task that does not wait got its locks: float64, milliseconds since 1970.
   */
  since: 96,
  /** The label, then (order 'free' only) the stack: UTF-8. */
  label: 104,
  /** Which system thread or file the lifeline is, and when it was made: float64s. */
  lifelineNumber: 224,
  lifelineMade: 240,
  /** For a dead thread: the recovering owner, which repairs what it left; 0 for none. */
  recoverer: 232,
  /** 1 while the owner waits to hold a lock shared, else 0. */
  waitsShared: 236,
  /**
   * The runtime's number of the thread whose lifeline this is. Written after the lifeline: if it equals the
   * number in `kind`, the lifeline is that of the slot's present owner.
   */
  lifelineTag: 248,
  /**
   * For a nested task: the last verdict whether its parent waits for it (PROVED), whether a new one is
   * requested (WANTED, set by any owner), and the number of verdicts so far, in units of VERDICT.
   */
  proof: 252,
  stack: 256,
} as const

/** The `intent` of a dead owner whose list lacks some lock that it holds. */
export const UNLISTED = -1

/** A slot names this many locks held shared, and only counts the others. */
export const READS = 11

/** The size of a slot without its stack. */
export const OWNER_BYTES = 256

/** The kind of owner, in the lowest bits of a slot's `kind`. */
export const FREE_SLOT = 0
export const THREAD_SLOT = 1
export const TASK_SLOT = 2
/** Its thread ended: the locks that carry it are abandoned. */
export const DEAD_SLOT = 3
/** Its thread ended, and the recovering owner reported its locks consistent: a sweep is to release them. */
export const CONSISTENT_SLOT = 4
/** The proof word of a new owner. */
export const NOT_PROVED = 0
/**
 * The parts of a proof word. PROVED: the parent waits. WANTED: a new verdict is requested. VERDICT: the unit
 * in which verdicts are counted.
 */
export const PROVED = 1
export const WANTED = 2
export const VERDICT = 4

/** The runtime's number of the thread is above the kind (`Lifeline.tag`); a process never uses it twice. */
export const TAG_SHIFT = 3
