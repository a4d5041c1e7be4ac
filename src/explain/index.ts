/** `lockwise/explain`: what happened, in words. */

export { visible } from '../core/format.ts'
export { deadlockText, type TextOptions } from './deadlock-text.ts'
export { leakedText, possibleDeadlockText, slowText } from './text.ts'
