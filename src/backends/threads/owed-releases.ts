/**
 * The releases that a thread owes: those that found the call stack exhausted. Without them, the locks that
 * too deeply recursing code took last would stay held.
 *
 * Steps     1. When a callback throws, the release of its locks is noted, by assignments only. A call would
 *              need room on the call stack, and so would an object literal with properties in V8.
 *           2. Then the release runs, with all others that are noted, if the call stack has room.
 *           3. If not, it stays noted. The next release after an error runs it. So does this thread's next
 *              call of `hold`, `tryHold`, `holdAll`, `holdAsync` or `close`, and its next call that finds a
 *              lock busy or whose release leaves waiters to wake.
 * Limits    Code that V8 has optimised can lack the room to enter `releasePairAfter` (release.ts), before it
 *           notes anything. A pair at the end of the call stack then stays held. `holdPair` cannot note the
 *           release itself: V8 would no longer inline it (inlining.test.ts).
 * Invariant A release that follows an error begins only if the call stack has room for all of it.
 * Cost      calls that neither throw nor find a lock busy pay nothing, or one check of a field; an error
 *           costs some two microseconds more.
 */

/** A noted release. */
export interface Owed {
  (): void
  /** The release that was noted before this one. */
  before?: Owed | undefined
}

/** The releases that one thread owes. */
export class OwedReleases {
  /** The release that was noted last. */
  last: Owed | undefined

  /** Runs the noted releases after an error, and returns the error. */
  releaseAfter(error: unknown): unknown {
    try {
      this.release()
    } catch {
      // The call stack is exhausted.
    }
    return error
  }

  /** Runs the noted releases, the last one first, if the call stack has room. */
  release(): void {
    if (this.last === undefined || !hasRoom()) return
    while (this.last !== undefined) {
      const owed: Owed = this.last
      this.last = owed.before
      try {
        owed()
      } catch {
        // The locks are released because of an earlier error: it names the cause, and this one would hide it.
      }
    }
  }
}

/**
 * This many arguments, of 8 bytes each, need more of the call stack than a release and all that it calls. V8
 * needs 40 KiB to compile a function that was never called, and throws if there is less.
 */
const ROOM: readonly unknown[] = Array.from({ length: 6000 }, () => 0)

function hasRoom(): boolean {
  try {
    takesRoom(...ROOM)
    return true
  } catch {
    return false
  }
}

function takesRoom(..._: readonly unknown[]): void {}
