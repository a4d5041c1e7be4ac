/**
 * Runs the built tests with Node's own runner: all, or those whose path contains one of the arguments. (Node
 * 20 takes no patterns, so this script finds the files.)
 */
// @ts-check
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../dist/test/', import.meta.url))
const wanted = process.argv.slice(2)
const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.js'))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort()
  .map((file) => root + file)
if (files.length === 0) {
  console.error(
    `no test file${wanted.length > 0 ? ` with ${wanted.join(' or ')} in its path` : ''}`,
  )
  process.exit(1)
}
console.log(`${files.length} test files, one after the other`)
const { status } = spawnSync(
  process.execPath,
  [
    '--test',
    '--test-concurrency=1',
    `--test-reporter=${new URL('./test-reporter.mjs', import.meta.url)}`,
    '--test-reporter-destination=stdout',
    ...files,
  ],
  { stdio: 'inherit', env: { ...process.env, LOCKWISE_TEST_FILES: `${files.length}` } },
)
process.exit(status ?? 1)
