/** Random programs on both memories at once, against a naive model: same answers, same memory. */

import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { LockwiseError, SharedLocks } from '../../../src/backends/threads/index.ts'

const COUNT = 5
const OWNERS = 3

/** What a call comes to: what it returned, or the code of its error. */
type Answer = unknown

/** Who holds what, and what each call must come to. Nothing here waits: a call that would is left out. */
class Model {
  readonly owners: (number | undefined)[]
  readonly ascending: boolean
  readonly lockOf: (record: number) => number

  constructor(ascending: boolean, stripes: number) {
    this.owners = Array.from({ length: stripes })
    this.ascending = ascending
    this.lockOf = (record) => record % stripes
  }

  /** Whether the call is one that blocks until another thread acts. */
  wouldWait(owner: number, records: readonly number[]): boolean {
    for (const lock of this.plan(records)) {
      if (this.refusal(owner, lock) || this.owners[lock] === owner) return false
      if (this.owners[lock] !== undefined) return true
    }
    return false
  }

  take(owner: number, records: readonly number[]): Answer {
    const plan = this.plan(records)
    for (const lock of plan) {
      if (this.owners[lock] === owner) return 'LOCK_DEADLOCK'
      if (this.refusal(owner, lock)) return 'LOCK_ORDER'
      if (this.owners[lock] !== undefined) return 'busy'
    }
    for (const lock of plan) this.owners[lock] = owner
    return 'taken'
  }

  tryTake(owner: number, records: readonly number[]): Answer {
    for (const lock of this.plan(records)) {
      if (this.owners[lock] === owner) return 'busy'
      if (this.refusal(owner, lock)) return 'LOCK_ORDER'
      if (this.owners[lock] !== undefined) return 'busy'
    }
    return 'held'
  }

  free(owner: number, records: readonly number[]): Answer {
    const plan = this.plan(records)
    if (plan.some((lock) => this.owners[lock] !== owner)) return 'LOCK_USAGE'
    for (const lock of plan) this.owners[lock] = undefined
    return 'freed'
  }

  plan(records: readonly number[]): number[] {
    return [...new Set(records.map(this.lockOf))].sort((a, b) => a - b)
  }

  refusal(owner: number, lock: number): boolean {
    return this.ascending && this.owners.lastIndexOf(owner) > lock
  }
}

const record = fc.nat(COUNT - 1)
const step = fc.record({
  owner: fc.nat(OWNERS - 1),
  call: fc.constantFrom('lock', 'unlock', 'lockPair', 'unlockPair', 'holdPair', 'hold', 'tryHold'),
  records: fc.tuple(record, record, record),
})

it('random programs come to what a naive model says, on both memories, whose words are the same after every call', () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.constantFrom('ascending', 'free'),
      fc.constantFrom(COUNT, 2, 1),
      (steps, order, stripes) => {
        const model = new Model(order === 'ascending', stripes)
        const tables = (['wasm', 'buffer'] as const).map((memory) => {
          const first = SharedLocks.create({ count: COUNT, stripes, order, memory, owners: OWNERS })
          return [first, SharedLocks.open(first.handle), SharedLocks.open(first.handle)]
        })
        for (const { owner, call, records } of steps) {
          const asked = records.slice(0, call.endsWith('Pair') ? 2 : call.endsWith('lock') ? 1 : 3)
          if (/^(lock|hold)/.test(call) && model.wouldWait(owner, asked)) continue
          const expected = expectedOf(model, owner, call, asked)
          for (const table of tables) {
            assert.deepEqual(carryOut(table[owner] as SharedLocks, call, asked), expected)
          }
          const [one, other] = tables.map(([first]) => bytesOf(first as SharedLocks))
          assert.ok(one && other?.equals(one), `after ${call} ${asked}`)
        }
      },
    ),
    { numRuns: 1500 },
  )
})

/** A table's memory: every word of it. */
function bytesOf(locks: SharedLocks): Buffer {
  const { memory } = locks.handle
  const buffer =
    memory instanceof WebAssembly.Memory ? memory.buffer : (memory as SharedArrayBuffer)
  return Buffer.from(buffer as SharedArrayBuffer)
}

function expectedOf(model: Model, owner: number, call: string, records: readonly number[]): Answer {
  if (call === 'tryHold') return model.tryTake(owner, records)
  if (call.startsWith('unlock')) return model.free(owner, records)
  const answer = model.take(owner, records)
  if (answer === 'taken' && call.startsWith('hold')) {
    model.free(owner, records)
    return 'held'
  }
  return answer
}

function carryOut(locks: SharedLocks, call: string, records: readonly number[]): Answer {
  const [a = 0, b = 0] = records
  const held = (): string => 'held'
  try {
    if (call === 'lock') locks.lock(a)
    else if (call === 'lockPair') locks.lockPair(a, b)
    else if (call === 'unlock') locks.unlock(a)
    else if (call === 'unlockPair') locks.unlockPair(a, b)
    else if (call === 'holdPair') return locks.holdPair(a, b, held)
    else if (call === 'hold') return locks.hold(records, held)
    else return locks.tryHold(records, held) ?? 'busy'
    return call.startsWith('un') ? 'freed' : 'taken'
  } catch (error) {
    if (error instanceof LockwiseError) return error.code
    throw error
  }
}
