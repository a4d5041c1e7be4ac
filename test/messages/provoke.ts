/** Provokes every message of the package once, and prints each as a block. */

import { provokeBank } from './bank.ts'
import { provokeCommandLine } from './command-line.ts'
import { provokeBackendLimits, provokeWrongCalls, provokeWrongOptions } from './manager-calls.ts'
import {
  provokeDeadlocks,
  provokeInProcesses,
  provokeRefusals,
  provokeSlow,
} from './manager-waits.ts'
import { provokeLockCalls, provokeTableOptions } from './thread-calls.ts'
import {
  provokeDeaths,
  provokeLongWaits,
  provokeNoLifeline,
  provokeThreadDeadlocks,
  provokeTimeouts,
} from './thread-waits.ts'

// `AbortSignal.timeout()` keeps no process alive.
setInterval(() => {}, 1000)

for (const provoke of [
  provokeWrongCalls,
  provokeWrongOptions,
  provokeBackendLimits,
  provokeRefusals,
  provokeDeadlocks,
  provokeSlow,
  provokeInProcesses,
  provokeTableOptions,
  provokeLockCalls,
  provokeTimeouts,
  provokeThreadDeadlocks,
  provokeDeaths,
  provokeLongWaits,
  provokeNoLifeline,
  provokeBank,
  provokeCommandLine,
]) {
  await provoke()
}
// Threads that a test ends late keep nothing alive.
process.exit()
