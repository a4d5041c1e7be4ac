/** `lockwise/explain`: formats reports as text. */

export { visible } from '../core/format.ts'
export {
  deadlockText,
  leakedText,
  possibleDeadlockText,
  slowText,
  type TextOptions,
} from '../core/report-text.ts'
