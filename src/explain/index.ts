/** `lockwise/explain`: what happened, in words. */

export { deadlockText, type TextOptions } from './deadlock-text.ts'
export { possibleDeadlockText, slowText } from './text.ts'
export { visible } from './visible.ts'
