/**
 * Formats reports, and the holders in them, as text: nothing else does. In the text of a whole report,
 * user-chosen names are escaped. In a part of a sentence they are not: the caller escapes the whole sentence
 * with `visible()`.
 */

import type { Report } from './report.ts'
import { deadlockText } from './text/deadlock.ts'
import { longWaitText } from './text/long-wait.ts'
import { possibleDeadlockText } from './text/possible-deadlock.ts'
import { leakedText, slowText } from './text/slow.ts'

export {
  OWNERS_ADVICE,
  reenteredIn,
  reentryAdvice,
  upgradeAdvice,
  upgradesIn,
} from './text/advice.ts'
export { deadlockText, type TextOptions } from './text/deadlock.ts'
export { deadlockMessage } from './text/deadlock-message.ts'
export { blockedLabel, blockersText, heldHow, keepAllHint, siteText } from './text/holders.ts'
export { blockedText, holdersText, longWaitText } from './text/long-wait.ts'
export { possibleDeadlockText } from './text/possible-deadlock.ts'
export { guardCycleText, leakedText, slowText, waitText } from './text/slow.ts'

/** A report of any kind as text, without a line break at its end. */
export function reportText(report: Report): string {
  switch (report.kind) {
    case 'deadlock':
      return deadlockText(report)
    case 'possible-deadlock':
      return possibleDeadlockText(report)
    case 'slow':
      return slowText(report)
    case 'leaked':
      return leakedText(report)
    case 'long-wait':
      return longWaitText(report)
  }
}
