/**
 * Runs the tests that read the output of other processes again, in a pseudo-terminal. There, Node's test
 * runner asks all that it starts for colours.
 */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { run } from './spawn.ts'

const folder = fileURLToPath(new URL('./', import.meta.url))
/** Left out: each takes a minute, and starts its processes in the same manner. */
const LEFT_OUT = ['terminal.test.js', 'bench/small.test.js', 'consumers.test.js']

const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.test.js') && !LEFT_OUT.includes(file))
  .filter((file) => readFileSync(folder + file, 'utf8').includes('/spawn.js'))
  .sort()

it('the tests that start processes pass in a terminal', { timeout: 900_000 }, (t) => {
  const { stdout: version } = run('script', ['--version'])
  if (!/util-linux/.test(version)) {
    t.skip('SKIPPED: there is no script(1) of util-linux here, which makes pseudo-terminals')
    return
  }
  assert.ok(files.includes('cli/bank.test.js'), files.join())
  t.diagnostic(files.join(', '))
  const command = [
    process.execPath,
    '--test',
    '--test-concurrency=1',
    '--test-reporter=spec',
    ...files.map((file) => folder + file),
  ]
  const isTerminal = `"${process.execPath}" -p '"terminal: " + process.stdout.isTTY'`
  const { status, stdout } = run(
    'script',
    ['-qec', `${isTerminal}; ${command.map(quoted).join(' ')}`, '/dev/null'],
    { env: { TERM: 'xterm-256color', SHELL: '/bin/sh' } },
  )
  assert.match(stdout, /terminal: true/)
  assert.equal(status, 0, stdout)
  assert.match(stdout, /pass \d{2,}/)
})

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
