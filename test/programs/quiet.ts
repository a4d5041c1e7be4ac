/** Suspends real timers and the reports of unhandled rejections while programs run. */

import { install, MockedTimers } from '../mocked-timers.ts'

const EVENTS = ['unhandledRejection', 'rejectionHandled'] as const

/**
 * Installs mocked timers, also for the manager, and ignores unhandled rejections: programs make requests that
 * they await later or never. Returns the timers, and a function that undoes this.
 */
export function quiet(): { readonly timers: MockedTimers; undo(): void } {
  const ignore = (): void => {}
  const listeners = EVENTS.map((event) => process.listeners(event as 'unhandledRejection'))
  for (const event of EVENTS) {
    process.removeAllListeners(event)
    process.on(event, ignore)
  }
  const timers = new MockedTimers()
  const uninstall = install(timers)
  const undo = (): void => {
    uninstall()
    for (const [i, event] of EVENTS.entries()) {
      process.removeListener(event, ignore)
      for (const listener of listeners[i] ?? []) process.on(event, listener as () => void)
    }
  }
  return { timers, undo }
}
