/**
 * How tests wait: for something to happen, never for a time in which it may have happened. This file imports
 * nothing of the package, so that threads load it quickly.
 */

import { setImmediate, setTimeout } from 'node:timers/promises'

/** How often a condition is checked, a millisecond or more apart, before it counts as never true. */
const MAX_CHECKS = 20_000

/** Lets all pending work run, except for timers. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await setImmediate()
}

/** Lets the event loop run once, timers that are due included. */
export function turn(): Promise<void> {
  return afterTimers(1)
}

/** Lets the event loop run some times, timers included: a victim is rejected after one. */
export async function rounds(count = 10): Promise<void> {
  for (let i = 0; i < count; i++) await turn()
}

/**
 * Waits until all timers of `ms` milliseconds have fired that are set already. That is certain, however busy
 * the machine is: timers of one length fire in the order in which they were set.
 */
export function afterTimers(ms: number): Promise<void> {
  return setTimeout(ms)
}

/** Waits until a condition holds. Throws if it never does: after twenty seconds at the earliest. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let checks = 0; !(await isSo()); checks++) {
    if (checks === MAX_CHECKS) throw new Error(`this never became true: ${isSo}`)
    await turn()
  }
}

/** A promise, and a function that resolves it. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open: () => open() }
}

/** Returns a function for `count` tasks to call. Its promises resolve when the last one has called it. */
export function meeting(count: number): () => Promise<void> {
  const all = gate()
  let missing = count
  return () => {
    if (--missing === 0) all.open()
    return all.opened
  }
}
