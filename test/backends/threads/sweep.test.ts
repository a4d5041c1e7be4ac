/** Sweeps: what they read, and what they find of threads that ended between two steps. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { clearUp, noticeEndOf } from '../../../src/backends/threads/deaths.ts'
import { intend, pushHeld } from '../../../src/backends/threads/held-list.ts'
import {
  ABANDONED,
  FREE_SLOT,
  SHARED,
  SLOT,
  TAG_SHIFT,
  THREAD_SLOT,
} from '../../../src/backends/threads/layout.ts'
import { SYSTEM_THREAD } from '../../../src/backends/threads/lifelines.ts'
import { kindOf, type Owner } from '../../../src/backends/threads/owners.ts'
import { publishWait } from '../../../src/backends/threads/published-wait.ts'
import { readersOf, tryEnter } from '../../../src/backends/threads/readers.ts'
import { inherit } from '../../../src/backends/threads/recovery.ts'
import { tryRegisterOwner } from '../../../src/backends/threads/register-owner.ts'
import { addressOf, createTable, type Table } from '../../../src/backends/threads/table.ts'
import type { OwnerDiedError } from '../../../src/core/errors.ts'
import { operationsOf } from './operations.ts'

const COUNT = 20_000
const DEAD = 77

function newTable(): { table: Table; us: Owner; newOwner: (tag: number) => Owner } {
  const table = createTable({ count: COUNT, recordBytes: 16, owners: 16 }, 'buffer')
  const newOwner = (tag: number): Owner => {
    const owner = tryRegisterOwner(table, String(tag), { kind: THREAD_SLOT })
    assert.ok(owner)
    table.words[(owner.slot + SLOT.kind) >> 2] = (tag << TAG_SHIFT) | THREAD_SLOT
    table.words[(owner.slot + SLOT.lifelineTag) >> 2] = tag
    return owner
  }
  const us = tryRegisterOwner(table, 'us', { kind: THREAD_SLOT })
  assert.ok(us)
  return { table, us, newOwner }
}

const wordOf = (table: Table, lock: number): number =>
  table.words[addressOf(table, lock) >> 2] as number

function take(table: Table, owner: Owner, lock: number): void {
  table.words[addressOf(table, lock) >> 2] = owner.me
}

function hold(table: Table, owner: Owner, lock: number): void {
  take(table, owner, lock)
  pushHeld(table, owner, addressOf(table, lock))
}

describe('a sweep', () => {
  it('reads the list of held locks, not the whole table', () => {
    const { table, us, newOwner } = newTable()
    const dead = newOwner(DEAD)
    for (const lock of [3, 900, 15_000]) hold(table, dead, lock)
    tryEnter(table, dead, 7)
    const operations = operationsOf(() => clearUp(table, us, DEAD))
    assert.ok(operations < 500, `${operations} operations`)
    for (const lock of [3, 900, 15_000]) assert.equal(wordOf(table, lock), dead.me | ABANDONED)
    assert.deepEqual([...readersOf(table, 7)], [])
  })

  it('cleans up after all ended threads once one is seen', () => {
    const { table, us, newOwner } = newTable()
    const dead = [1, 2, 3].map((tag) => newOwner(DEAD + tag))
    for (const [lock, { slot }] of dead.entries()) {
      table.words[(slot + SLOT.lifeline) >> 2] = SYSTEM_THREAD
      // No system thread has this number.
      table.floats[(slot + SLOT.lifelineNumber) >> 3] = 2 ** 30
      if (lock > 0) hold(table, dead[lock] as Owner, lock)
    }
    const seen = process.platform === 'linux'
    noticeEndOf(table, us, (dead[1] as Owner).id)
    assert.equal(kindOf(table, (dead[0] as Owner).id) === FREE_SLOT, seen)
    for (const lock of [1, 2]) assert.equal((wordOf(table, lock) & ABANDONED) !== 0, seen)
  })

  it('finds a lock that was being taken or released, and is not on the list', () => {
    const { table, us, newOwner } = newTable()
    const dead = newOwner(DEAD)
    hold(table, dead, 3)
    intend(table, dead, 5)
    take(table, dead, 5)
    clearUp(table, us, DEAD)
    assert.equal(wordOf(table, 3), dead.me | ABANDONED)
    assert.equal(wordOf(table, 5), dead.me | ABANDONED)
    assert.notEqual(kindOf(table, dead.id), FREE_SLOT)
  })

  it('releases a lock that only a pending writer had', () => {
    const { table, us, newOwner } = newTable()
    const dead = newOwner(DEAD)
    intend(table, dead, 5)
    table.words[addressOf(table, 5) >> 2] = dead.me | SHARED
    clearUp(table, us, DEAD)
    assert.equal(wordOf(table, 5), SHARED)
    assert.equal(kindOf(table, dead.id), FREE_SLOT)
  })

  it('clears the bits of a dead reader in more rows than its slot has room for', () => {
    const { table, us, newOwner } = newTable()
    const dead = newOwner(DEAD)
    const locks = Array.from({ length: 40 }, (_, i) => 11 * i)
    for (const lock of locks) tryEnter(table, dead, lock)
    clearUp(table, us, DEAD)
    for (const lock of locks) assert.deepEqual([...readersOf(table, lock)], [])
    assert.equal(kindOf(table, dead.id), FREE_SLOT)
  })

  it('scans the table where a list names a lock that its owner does not hold', () => {
    const { table, us, newOwner } = newTable()
    for (const top of [12_345, 8]) {
      const dead = newOwner(DEAD)
      hold(table, dead, 3)
      table.words[(dead.slot + SLOT.top) >> 2] = top === 8 ? addressOf(table, 8) : top
      clearUp(table, us, DEAD)
      assert.equal(wordOf(table, 3), dead.me | ABANDONED)
      assert.notEqual(kindOf(table, dead.id), FREE_SLOT)
      take(table, { ...dead, me: 0 }, 3)
      clearUp(table, us, DEAD)
    }
  })

  it('scans the table where a list lacks a lock that a thread waits for', () => {
    const { table, us, newOwner } = newTable()
    const [dead, waiter] = [newOwner(DEAD), newOwner(DEAD + 1)]
    take(table, dead, 3)
    take(table, dead, 4)
    publishWait(table, waiter, { lock: 4, mode: 'exclusive', sinceMs: 0, stack: '' })
    clearUp(table, us, DEAD)
    for (const lock of [3, 4]) assert.equal(wordOf(table, lock), dead.me | ABANDONED)
    assert.notEqual(kindOf(table, dead.id), FREE_SLOT)
  })

  it('reads the list of a dead owner once, however many of its locks have waiters', () => {
    const operations = [1, 10].map((waits) => {
      const { table, us, newOwner } = newTable()
      const dead = newOwner(DEAD)
      for (let lock = 0; lock < 1000; lock++) hold(table, dead, lock)
      for (let lock = 0; lock < waits; lock++) {
        const waiter = newOwner(DEAD + 1)
        publishWait(table, waiter, { lock, mode: 'exclusive', sinceMs: 0, stack: '' })
      }
      return operationsOf(() => clearUp(table, us, DEAD))
    })
    const [one = 0, ten = 0] = operations
    assert.ok(ten < one * 1.2, `${one} operations for one waiter, ${ten} for ten`)
  })

  it('describes the locks of a dead thread once, however many owners it refuses', () => {
    const { table, us, newOwner } = newTable()
    const refused = (lock: number, left: readonly number[]): number =>
      operationsOf(() => {
        assert.throws(
          () => inherit(table, us, lock, undefined),
          (error: OwnerDiedError) => assert.deepEqual(error.abandoned?.locks, left) === undefined,
        )
      })
    const dead = newOwner(DEAD)
    const left = Array.from({ length: 1000 }, (_, lock) => lock)
    for (const lock of left) hold(table, dead, lock)
    clearUp(table, us, DEAD)
    refused(3, left)
    const operations = refused(4, left)
    assert.ok(operations < 100, `${operations} operations`)
    inherit(table, us, 5, () => {})
    // The search for a free slot tries all others before it returns to this one.
    let next = newOwner(DEAD + 1)
    while (next.id !== dead.id) next = newOwner(DEAD + 1)
    hold(table, next, 7)
    clearUp(table, us, DEAD + 1)
    refused(7, [7])
  })
})
