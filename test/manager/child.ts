/** Programs that a test runs in a process of their own. */

import { spawnSync } from 'node:child_process'

const lockwise = JSON.stringify(new URL('../../src/index.js', import.meta.url).href)
const emptyLoop = JSON.stringify(new URL('../../src/manager/empty-loop.js', import.meta.url).href)

/** Runs a module in which `lockwise` and `emptyLoop` are imported, with `gc()`. */
export function runAlone(program: string): {
  readonly stdout: string
  readonly stderr: string
  readonly status: number | null
} {
  const imports = `import * as lockwise from ${lockwise}\nimport * as emptyLoop from ${emptyLoop}\n`
  return spawnSync(
    process.execPath,
    ['--expose-gc', '--input-type=module', '--eval', imports + program],
    { encoding: 'utf8', timeout: 60_000 },
  )
}
