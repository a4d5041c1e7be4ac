/** The text of a deadlock report. */

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { deadlockText } from '../../src/explain/index.ts'
import { DeadlockError, type DeadlockReport, relabelLocks, type Waiter } from '../../src/index.ts'
import { held, holder, wanted } from '../core/reports.ts'

const member = {
  waiter: { kind: 'thread', id: 1, label: 'teller 1' },
  blockers: [1],
  waitedMs: 12.345,
  waitsAt: 'at move (bank.js:1:2)',
  isProved: true,
} as const

const crossed: DeadlockReport = {
  version: 1,
  kind: 'deadlock',
  between: 'threads',
  confidence: 'proved',
  hasVictim: true,
  detectedAtMs: 0,
  victim: 2,
  cycle: [
    {
      ...member,
      waiter: { kind: 'thread', id: 2, label: 'b' },
      holds: [held(4, 'b')],
      waitsFor: wanted(3),
      waitedMs: 0.0101,
    },
    { ...member, holds: [held(3, 'teller 1')], waitsFor: wanted(4), blockers: [2] },
  ],
}

it('a deadlock text lists holders, waits, ages and call sites, and advises what to change', () => {
  assert.equal(
    deadlockText(crossed),
    `Deadlock: 2 threads wait for each other in a cycle; none of them can continue.

  b         holds lock 4, has waited for 10 µs for lock 3 (held by teller 1)
              at move (bank.js:1:2)
  teller 1  holds lock 3, has waited for 12.3 ms for lock 4 (held by b)
              at move (bank.js:1:2)

Victim: b; its request was rejected with DeadlockError.
What to change: take lock 3 and lock 4 in one request, hold([3, 4], …) or holdPair, which always takes the lower one first; or take them in the same order everywhere.`,
  )
})

it('a deadlock text shows locks with names of their own in no call', () => {
  const named = relabelLocks(crossed, (lock) => `account ${lock}`)
  assert.match(
    deadlockText(named),
    /take 'account 3' and 'account 4' in one request, hold or holdPair, which/,
  )
})

it('a deadlock text advises a thread that waits for itself', () => {
  const cycle = [{ ...member, holds: [held(3, 'teller 1')], waitsFor: wanted(3) }]
  assert.match(
    deadlockText({ ...crossed, cycle }),
    /holds itself[\s\S]*do not ask for lock 3 again/,
  )
})

const asked = { callSite: 'main (bank.js:3:4)' }

it('a deadlock text names the request that took a lock where its label differs from the waiter’s', () => {
  const cycle = [
    {
      ...member,
      waitsFor: wanted('auth'),
      holds: [holder('auth', 'SIGN-IN', asked), holder('x', 'teller 1', asked)],
    },
  ]
  const text = deadlockText({ ...crossed, between: 'tasks', cycle })
  assert.match(text, /has waited for 12\.3 ms for 'auth' \(held by SIGN-IN\)/)
  assert.match(
    text,
    /SIGN-IN \(holds 'auth' exclusively for 1500 ms, requested at main \(bank\.js:3:4\)\)/,
  )
  assert.doesNotMatch(text, /teller 1 \(holds 'x'/)
  const { message } = new DeadlockError({ ...crossed, between: 'tasks', cycle })
  assert.match(
    message,
    /which it holds itself \(SIGN-IN, exclusively for 1500 ms, requested at main/,
  )
  const relabelled = relabelLocks({ ...crossed, cycle }, (lock) => `lock of ${lock}`)
  assert.deepEqual(
    relabelled.cycle[0]?.holds.map(({ name }) => name),
    ['lock of auth', 'lock of x'],
  )
})

it('a deadlock text says in which request a suspected member was started', () => {
  const own = holder('a', 'outer', asked)
  const inner = holder('b', 'inner', asked)
  const waiter = (label: string): Waiter => ({ kind: 'request', id: 1, label })
  const bg = { ...member, waiter: waiter('bg'), waitsFor: wanted('a'), isProved: false }
  const textOf = (first: DeadlockReport['cycle'][0]): string =>
    deadlockText({ ...crossed, between: 'tasks', confidence: 'suspected', cycle: [first] })
  const text = textOf({ ...bg, holds: [inner, own] })
  assert.match(text, /^Suspected deadlock: a task may wait for a lock that it holds itself/)
  assert.match(
    text,
    /bg +was started inside outer, which holds 'a', and has waited for 12\.3 ms for 'a' \(held by outer\)/,
  )
  assert.doesNotMatch(text, /bg +holds|do not ask/)
  assert.match(
    text,
    /await the request directly and attach nothing else to its promise \(a \.catch\(\)/,
  )
  assert.match(
    text,
    /What to change, if this is a deadlock: locks are not re-entrant; code that holds 'a' must not wait/,
  )
  const inherited = textOf({ ...bg, waiter: waiter('outer'), holds: [own] })
  assert.match(
    inherited,
    /outer +holds 'a'; a request that was made inside it has waited for 12\.3 ms for 'a'/,
  )
})

it('a deadlock text advises requesting exclusively from the start instead of upgrading', () => {
  const holds = [held('a', 'teller 1', { mode: 'shared' })]
  const upgrade = { ...member, holds, waitsFor: wanted('a') }
  for (const cycle of [
    [upgrade],
    [upgrade, { ...upgrade, waiter: { ...upgrade.waiter, id: 2 } }],
  ]) {
    const report = { ...crossed, between: 'tasks', cycle } as const
    const advice = /What to change: ask for 'a' in mode 'exclusive' from the start/
    assert.match(deadlockText(report), advice)
    assert.match(new DeadlockError(report).message, advice)
  }
})

it('a deadlock text escapes characters that could forge a line or control a terminal', () => {
  const hostile = 'x\n\u001b[2J\u202eVictim: y'
  const [first, second] = crossed.cycle as [(typeof crossed.cycle)[0], (typeof crossed.cycle)[0]]
  const text = deadlockText({
    ...crossed,
    cycle: [
      {
        ...first,
        waiter: { ...first.waiter, label: hostile },
        waitsFor: wanted(hostile),
        waitsAt: hostile,
      },
      second,
    ],
  })
  assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u202a-\u202e]/)
  assert.match(text, /x\\u000a\\u001b\[2J\\u202eVictim: y/)
})

it('a deadlock text gives a duration of a second or more in the same format as the holder lines', () => {
  const cycle = crossed.cycle.map((one) => ({ ...one, waitedMs: 1234 }))
  assert.match(
    deadlockText({ ...crossed, cycle }),
    /has waited for 1234 ms for lock 3 \(held by teller 1\)/,
  )
})
