/**
 * Prints every message of the package, and how many of their origins in the source were provoked: `npm run
 * messages`.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runNode } from '../spawn.ts'
import { originsOf } from './origins.ts'
import { reasonFor } from './unprovoked.ts'

const PROVOKE = fileURLToPath(new URL('./provoke.js', import.meta.url))

const coverage = mkdtempSync(join(tmpdir(), 'lockwise-coverage-'))
try {
  const env = { NODE_V8_COVERAGE: coverage }
  const { status, stdout, stderr } = runNode([PROVOKE], { env, timeoutMs: 200_000 })
  process.stdout.write(stdout)
  if (status !== 0) throw new Error(`the messages could not all be provoked:\n${stderr}`)
  const origins = originsOf(coverage)
  const others = origins.filter(({ isProvoked }) => !isProvoked)
  console.log(
    `${origins.length} origins of messages in the source; ${origins.length - others.length} were provoked.`,
  )
  for (const { at, text } of others) {
    console.log(`not provoked: ${at}: ${reasonFor(at, text) ?? `no reason is known: ${text}`}`)
  }
} finally {
  rmSync(coverage, { recursive: true, force: true })
}
