/** A clock that replaces the runtime's in tests. */

import { mock } from 'node:test'
import { runtime } from '../../src/manager/clock.ts'

/** Runs `work` with a `tick` that advances the time. Restores the runtime's clock afterwards. */
export async function withFakeClock(
  work: (tick: (ms: number) => Promise<void>) => Promise<void>,
): Promise<void> {
  const real = { ...runtime }
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: Date.now() })
  Object.assign(runtime, { setTimeout, clearTimeout, now: Date.now })
  const tick = async (ms: number): Promise<void> => {
    // The coarse clock's timer runs first. If it is late, the event loop seems to have been blocked.
    mock.timers.tick(Math.min(ms, 10))
    if (ms > 10) mock.timers.tick(ms - 10)
    // Reports reach their listeners in microtasks.
    await new Promise((resolve) => real.setImmediate?.(() => resolve(undefined)))
  }
  try {
    await tick(20)
    await work(tick)
  } finally {
    // Lets the coarse clock read the time again.
    mock.timers.tick(20)
    mock.timers.reset()
    Object.assign(runtime, real)
  }
}
