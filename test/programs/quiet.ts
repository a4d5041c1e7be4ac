/** Sets timers and rejections aside while programs run. */

import type { MockTimers } from 'node:test'
import { runtime } from '../../src/manager/clock.ts'

const EVENTS = ['unhandledRejection', 'rejectionHandled'] as const

/**
 * Puts mock timers in place, also for the manager, and ignores rejections that nobody has handled: programs
 * start requests that they await later, or never. Returns a function that undoes it.
 */
export function quiet(timers: MockTimers): () => void {
  const ignore = (): void => {}
  const before = EVENTS.map((event) => process.listeners(event as 'unhandledRejection'))
  for (const event of EVENTS) {
    process.removeAllListeners(event)
    process.on(event, ignore)
  }
  timers.enable({ apis: ['setTimeout'] })
  const real = { ...runtime }
  Object.assign(runtime, { setTimeout, clearTimeout })
  return () => {
    Object.assign(runtime, real)
    timers.reset()
    for (const [i, event] of EVENTS.entries()) {
      process.removeListener(event, ignore)
      for (const listener of before[i] ?? []) process.on(event, listener as () => void)
    }
  }
}
