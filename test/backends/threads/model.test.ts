/** Random programs on both memories at once, against a naive model: same results, same memory. */

import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { LockwiseError, SharedLocks, shared } from '../../../src/backends/threads/index.ts'

const COUNT = 5
const OWNERS = 3

/** The result of a call: what it returned, or the code of its error. */
type Answer = unknown

/** Some locks, each once, the lowest first; `true` stands for shared. */
type Plan = readonly (readonly [lock: number, isShared: boolean])[]

/** The holders of each lock, and the expected result of each call. Calls that would wait are left out. */
class Model {
  readonly #writers: (number | undefined)[]
  readonly #readers: Set<number>[]
  readonly #ascending: boolean
  readonly #stripes: number

  constructor(ascending: boolean, stripes: number) {
    this.#writers = Array.from({ length: stripes })
    this.#readers = Array.from({ length: stripes }, () => new Set())
    this.#ascending = ascending
    this.#stripes = stripes
  }

  /** Whether the call would block until another thread acts. */
  wouldWait(owner: number, plan: Plan): boolean {
    for (const [lock, isShared] of plan) {
      if (this.#refusal(owner, lock, isShared)) return false
      if (this.#isBusy(owner, lock, isShared)) return true
    }
    return false
  }

  take(owner: number, plan: Plan): Answer {
    for (const [lock, isShared] of plan) {
      const refusal = this.#refusal(owner, lock, isShared)
      if (refusal) return refusal
    }
    for (const [lock, isShared] of plan) {
      if (isShared) this.#readers[lock]?.add(owner)
      else this.#writers[lock] = owner
    }
    return 'taken'
  }

  tryTake(owner: number, plan: Plan): Answer {
    for (const [lock, isShared] of plan) {
      if (this.#holds(owner, lock)) return 'busy'
      const refusal = this.#refusal(owner, lock, isShared)
      if (refusal) return refusal
      if (this.#isBusy(owner, lock, isShared)) return 'busy'
    }
    return 'held'
  }

  free(owner: number, plan: Plan): Answer {
    const isHeld = ([lock, isShared]: Plan[number]): boolean =>
      isShared ? this.#readers[lock]?.has(owner) === true : this.#writers[lock] === owner
    if (!plan.every(isHeld)) return 'LOCK_USAGE'
    for (const [lock, isShared] of plan) {
      if (isShared) this.#readers[lock]?.delete(owner)
      else this.#writers[lock] = undefined
    }
    return 'released'
  }

  plan(records: readonly number[], shared: readonly boolean[]): Plan {
    const modes = new Map<number, boolean>()
    for (const [i, record] of records.entries()) {
      const lock = record % this.#stripes
      modes.set(lock, (shared[i] as boolean) && modes.get(lock) !== false)
    }
    return [...modes].sort(([a], [b]) => a - b)
  }

  #holds(owner: number, lock: number): boolean {
    return this.#writers[lock] === owner || this.#readers[lock]?.has(owner) === true
  }

  #isBusy(owner: number, lock: number, isShared: boolean): boolean {
    const readers = [...(this.#readers[lock] ?? [])].filter((reader) => reader !== owner)
    return this.#writers[lock] !== undefined || (!isShared && readers.length > 0)
  }

  /** The reason why an owner may not request a lock, because of what it holds. */
  #refusal(owner: number, lock: number, isShared: boolean): Answer | undefined {
    if (this.#readers[lock]?.has(owner) && !isShared) return 'LOCK_USAGE'
    if (this.#holds(owner, lock)) return 'LOCK_DEADLOCK'
    const highest = this.#writers.findLastIndex((_, each) => this.#holds(owner, each))
    return this.#ascending && highest > lock ? 'LOCK_ORDER' : undefined
  }
}

const record = fc.nat(COUNT - 1)
const step = fc.record({
  owner: fc.nat(OWNERS - 1),
  call: fc.constantFrom(
    'lock',
    'unlock',
    'lockShared',
    'unlockShared',
    'lockPair',
    'unlockPair',
    'holdPair',
    'hold',
    'tryHold',
  ),
  records: fc.tuple(record, record, record),
  shared: fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
})

it('random programs agree with a naive model, and leave the same words in both memories after every call', () => {
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
        for (const { owner, call, records, shared } of steps) {
          const isSet = call === 'hold' || call === 'tryHold'
          const asked = records.slice(0, call.endsWith('Pair') ? 2 : isSet ? 3 : 1)
          const modes = isSet ? shared : Array(3).fill(call.endsWith('Shared'))
          const plan = model.plan(asked, modes)
          if (/^(lock|hold)/.test(call) && model.wouldWait(owner, plan)) continue
          const expected = expectedOf(model, owner, call, plan)
          for (const table of tables) {
            assert.deepEqual(carryOut(table[owner] as SharedLocks, call, asked, modes), expected)
          }
          const [one, other] = tables.map(([first]) => bytesOf(first as SharedLocks))
          assert.ok(one && other?.equals(one), `after ${call} ${asked}`)
        }
      },
    ),
    { numRuns: 1500 },
  )
})

/** Every word of a table's memory. */
function bytesOf(locks: SharedLocks): Buffer {
  const { memory } = locks.handle
  const buffer =
    memory instanceof WebAssembly.Memory ? memory.buffer : (memory as SharedArrayBuffer)
  return Buffer.from(buffer as SharedArrayBuffer)
}

function expectedOf(model: Model, owner: number, call: string, plan: Plan): Answer {
  if (call === 'tryHold') return model.tryTake(owner, plan)
  if (call.startsWith('unlock')) return model.free(owner, plan)
  const answer = model.take(owner, plan)
  if (answer === 'taken' && call.startsWith('hold')) {
    model.free(owner, plan)
    return 'held'
  }
  return answer
}

function carryOut(
  locks: SharedLocks,
  call: string,
  records: readonly number[],
  modes: readonly boolean[],
): Answer {
  const [a = 0, b = 0] = records
  const wanted = records.map((record, i) => (modes[i] ? shared(record) : record))
  const held = (): string => 'held'
  try {
    if (call === 'lock') locks.lock(a)
    else if (call === 'lockShared') locks.lockShared(a)
    else if (call === 'unlockShared') locks.unlockShared(a)
    else if (call === 'lockPair') locks.lockPair(a, b)
    else if (call === 'unlock') locks.unlock(a)
    else if (call === 'unlockPair') locks.unlockPair(a, b)
    else if (call === 'holdPair') return locks.holdPair(a, b, held)
    else if (call === 'hold') return locks.hold(wanted, held)
    else return locks.tryHold(wanted, held) ?? 'busy'
    return call.startsWith('un') ? 'released' : 'taken'
  } catch (error) {
    if (error instanceof LockwiseError) return error.code
    throw error
  }
}
