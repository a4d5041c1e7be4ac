/** Names: what a lock is called. */

/** A lock as its table calls it: a number in shared memory, a name everywhere else. */
export type LockLabel = string | number
