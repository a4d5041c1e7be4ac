/** `lockwise/explain`: what happened, in words. */

export { deadlockText, type TextOptions } from './deadlock-text.ts'
