/**
 * The releases that a thread owes: those that found the call stack exhausted. Without them, code that recurses too
 * deeply while it holds locks would leave the innermost of them held.
 *
 * Steps     1. Where a callback throws, the release of its locks is noted: by assignments alone, for a call needs
 *              room on the call stack, and in V8 an object literal with properties does too.
 *           2. Then it is done, with all others that are noted, if the call stack has room for it.
 *           3. If not, it stays noted. The next release after an error does it, and so does the next call of this
 *              thread that holds locks by a plan, or finds one busy.
 * Limits    Code that V8 has optimised can find no room to enter `releasePairAfter` (release.ts), before it notes
 *           anything: then a pair at the end of the call stack stays held. holdPair has no room for a note of its own (inlining.test.ts).
 * Invariant A release that follows an error begins only where the call stack has room for all of it.
 * Cost      calls that neither throw nor find a lock busy pay nothing, or one look at a field; an error costs some
 *           two microseconds more.
 */

/** A release that is noted. */
export interface Owed {
  (): void
  /** The one that was noted before. */
  before?: Owed | undefined
}

/** The releases that one thread owes. */
export class OwedReleases {
  /** The one that was noted last. */
  last: Owed | undefined

  /** Does them after an error, which it returns. */
  releaseAfter(error: unknown): unknown {
    try {
      this.release()
    } catch {
      // The call stack is exhausted.
    }
    return error
  }

  /** Does them, the last one first, if the call stack has room for that. */
  release(): void {
    if (this.last === undefined || !hasRoom()) return
    while (this.last !== undefined) {
      const owed: Owed = this.last
      this.last = owed.before
      try {
        owed()
      } catch {
        // The error after which the locks are released says the cause; this one would hide it.
      }
    }
  }
}

/**
 * So many arguments, of 8 bytes each, need more of the call stack than a release and all that it calls. V8 wants 40
 * KiB to compile a function that was never called, and throws where there are less.
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
