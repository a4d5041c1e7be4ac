/** `lockwise/explain`: what happened, in words. */

export { deadlockText, type TextOptions, visible } from './deadlock-text.ts'
