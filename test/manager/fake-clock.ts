/** A clock that replaces the runtime's in tests. */

import { runtime } from '../../src/manager/clock.ts'
import { install, MockedTimers } from '../mocked-timers.ts'
import { afterTimers, settle } from '../waiting.ts'

/** How long the manager uses a reading of its coarse clock: COARSE_MS in clock.ts. */
const COARSE_MS = 10

/** Lets the manager's coarse clock read the time again: its last reading has a timer of COARSE_MS. */
export function forgetTime(): Promise<void> {
  return afterTimers(COARSE_MS)
}

/** Runs `work` with a `tick` that advances the time. Restores the runtime's clock afterwards. */
export async function withFakeClock(
  work: (tick: (ms: number) => Promise<void>) => Promise<void>,
): Promise<void> {
  await forgetTime()
  const timers = new MockedTimers(Date.now())
  const uninstall = install(timers)
  runtime.now = timers.now
  const tick = async (ms: number): Promise<void> => {
    const untilMs = timers.now() + ms
    do {
      // As after a real timer: reports reach their listeners in microtasks, and proofs are made in some turns.
      await settle()
    } while (timers.runNext(untilMs))
  }
  try {
    await work(tick)
  } finally {
    timers.advance(COARSE_MS)
    uninstall()
  }
}
