/** Handles sent to another process: the memory cannot be sent, and the error says so. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SharedLocks } from '../../../src/backends/threads/index.ts'
import { runNode } from '../../spawn.ts'

const entry = JSON.stringify(
  new URL('../../../src/backends/threads/index.js', import.meta.url).href,
)

/** A process that sends a handle to its child, and prints the result. */
const program = (memory: string, serialization: string): string => `
const { fork } = await import('node:child_process')
import { SharedLocks } from ${entry}
const child = ${JSON.stringify(`
  process.on('message', (handle) => import(${entry}).then(({ SharedLocks }) => {
    try { SharedLocks.open(handle) } catch ({ code, message }) { process.send({ code, message }) }
    process.disconnect()
  }))`)}
const { handle } = SharedLocks.create({ count: 2, memory: '${memory}' })
const started = fork('-e', [child], { execArgv: [], serialization: '${serialization}' })
started.on('message', (error) => console.log(JSON.stringify(error)))
try { started.send(handle) } catch ({ message }) { console.log(message); started.disconnect() }
`

for (const memory of ['wasm', 'buffer']) {
  describe(`a handle in another process (${memory})`, { timeout: 60_000 }, () => {
    it('is refused with an error that says so', () => {
      const { stdout, stderr } = runNode(['--input-type=module', '--eval', program(memory, 'json')])
      assert.equal(stderr, '')
      const { code, message } = JSON.parse(stdout)
      assert.equal(code, 'LOCK_USAGE')
      assert.match(message, /threads of one process only.*not to another process/)
    })

    it('is refused by Node with the advanced serialization', () => {
      const args = ['--input-type=module', '--eval', program(memory, 'advanced')]
      assert.match(runNode(args).stdout, /could not be cloned/)
    })
  })
}

it('a handle after JSON.parse() is refused with an error that says so', () => {
  const { handle } = SharedLocks.create({ count: 2 })
  const copy = JSON.parse(JSON.stringify(handle))
  assert.throws(() => SharedLocks.open(copy), { code: 'LOCK_USAGE', message: /not as JSON/ })
  assert.throws(() => SharedLocks.open({} as never), { message: /expected a table's handle/ })
})
