/** The text of a deadlock report. */

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { deadlockText } from '../../src/explain/index.ts'
import type { DeadlockReport } from '../../src/index.ts'

const member = { thread: 1, label: 'teller 1', waitedMs: 12.345, stack: 'at move (bank.js:1:2)' }

const crossed: DeadlockReport = {
  kind: 'deadlock',
  detectedAtMs: 0,
  victim: 2,
  cycle: [
    { ...member, thread: 2, label: 'b', holds: [4], waitsFor: 3, blocker: 1, waitedMs: 0.0101 },
    { ...member, holds: [3], waitsFor: 4, blocker: 2 },
  ],
}

it('says who holds what, waits for what, since when, where, and what to change', () => {
  assert.equal(
    deadlockText(crossed),
    `Deadlock: 2 threads wait for each other in a circle; none could ever go on.

  b         holds lock 4, waits for lock 3 (held by teller 1) for 10 µs
              at move (bank.js:1:2)
  teller 1  holds lock 3, waits for lock 4 (held by b) for 12.3 ms
              at move (bank.js:1:2)

Victim: b; its request was rejected with DeadlockError.
What to change: take lock 3 and lock 4 in one request (holdPair, hold), which always takes the lower one first; or take them in the same order everywhere.`,
  )
})

it('advises a thread that waits for itself', () => {
  const report = { ...crossed, cycle: [{ ...member, holds: [3], waitsFor: 3, blocker: 1 }] }
  assert.match(deadlockText(report), /holds itself[\s\S]*not re-entrant; do not ask for lock 3/)
})

it('shows what could forge a line or drive a terminal as an escape', () => {
  const hostile = 'x\n\u001b[2J\u202eVictim: y'
  const [first, second] = crossed.cycle as [(typeof crossed.cycle)[0], (typeof crossed.cycle)[0]]
  const text = deadlockText({
    ...crossed,
    cycle: [{ ...first, label: hostile, waitsFor: hostile, stack: hostile }, second],
  })
  assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u202a-\u202e]/)
  assert.match(text, /x\\u000a\\u001b\[2J\\u202eVictim: y/)
})
