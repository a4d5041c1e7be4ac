/** Programs that a test runs in a separate process. */

import { type Ended, runNode } from '../spawn.ts'

const lockwise = JSON.stringify(new URL('../../src/index.js', import.meta.url).href)

/** Runs a module in which `lockwise` is imported, with `gc()`. */
export function runAlone(program: string): Ended {
  const code = `import * as lockwise from ${lockwise}\n${program}`
  return runNode(['--expose-gc', '--input-type=module', '--eval', code], { timeoutMs: 60_000 })
}
