/** The example of two HTTP handlers: their responses with an owner, and the report without one. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runNode } from './spawn.ts'

const example = fileURLToPath(new URL('../../examples/two-handlers.mjs', import.meta.url))

describe('two HTTP handlers with guards in opposite order', { timeout: 60_000 }, () => {
  it('cause one victim, and the other one answers, if each request is an owner', () => {
    const { status, stdout, stderr } = runNode([example, 'owner'])
    assert.equal(status, 0, stderr)
    const answers = stdout.trim().split('\n')
    assert.deepEqual(answers.map((answer) => answer.replace(/^\S+ /, '')).sort(), [
      '200 done',
      '409 LOCK_DEADLOCK',
    ])
  })

  it('are both named, with their lines, in the report of the long wait without owners', () => {
    const { status, stdout, stderr } = runNode([example])
    assert.equal(status, 0, stderr)
    assert.equal(stdout, 'no answer: TimeoutError\nno answer: TimeoutError\n')
    assert.match(stderr, /Suspected deadlock: these 2 requests may wait in a cycle/)
    for (const line of [16, 19, 27, 30])
      assert.match(stderr, new RegExp(`two-handlers\\.mjs:${line}:`))
    assert.match(stderr, /acquire\(\['account:7', 'ledger'\]\)/)
  })
})
