/** How the end of a thread is seen, where a test can make it certain. */

import assert from 'node:assert/strict'
import { closeSync, fstatSync, mkdtempSync, openSync, rmSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { clearUp, noticeEndOf } from '../../../src/backends/threads/deaths.ts'
import {
  DEAD_SLOT,
  type LayoutOptions,
  SLOT,
  TAG_SHIFT,
  THREAD_SLOT,
} from '../../../src/backends/threads/layout.ts'
import { hasEnded, type Lifeline, ownLifeline } from '../../../src/backends/threads/lifelines.ts'
import { changeKind, lifelineOf, tryClaimOwner } from '../../../src/backends/threads/owners.ts'
import { createTable } from '../../../src/backends/threads/table.ts'

it('a lifeline ends when its file is closed, also where its numbers are used again', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lockwise-'))
  const path = join(folder, 'a')
  const descriptor = openSync(path, 'w')
  const { ino, mtimeMs } = fstatSync(descriptor)
  const lifeline: Lifeline = { tag: 1, descriptor, file: ino, madeMs: mtimeMs }
  assert.equal(hasEnded(lifeline), false)
  closeSync(descriptor)
  assert.equal(hasEnded(lifeline), true)
  // The same descriptor, of the same file, made at another time.
  utimesSync(path, 1, 1)
  assert.equal(openSync(path, 'r'), descriptor)
  assert.equal(hasEnded(lifeline), true)
  closeSync(descriptor)
  rmSync(folder, { recursive: true })
})

it('the main thread has none, and never ends', () => {
  assert.equal(ownLifeline().descriptor, -1)
  assert.equal(hasEnded(ownLifeline()), false)
})

it('the place of a dead thread is not taken for its next owner, while that one moves in', () => {
  const table = createTable(
    { count: 2, recordBytes: 16, order: 'ascending', owners: 4 } as LayoutOptions,
    'buffer',
  )
  const us = tryClaimOwner(table, 'us', { kind: THREAD_SLOT })
  const dead = tryClaimOwner(table, 'dead', { kind: THREAD_SLOT })
  assert.ok(us && dead)
  const at = (field: number): number => (dead.slot + field) >> 2
  const [deadTag, nextTag] = [7, 8]
  // A descriptor that is not open: the lifeline of a thread that has ended.
  table.words[at(SLOT.lifeline)] = 1_000_000
  table.words[at(SLOT.lifelineTag)] = deadTag
  table.words[at(SLOT.kind)] = (deadTag << TAG_SHIFT) | THREAD_SLOT
  const seen = lifelineOf(table, dead.id)
  assert.ok(seen && hasEnded(seen))
  // The next owner has taken the slot, and not yet written its own lifeline.
  const next = (nextTag << TAG_SHIFT) | THREAD_SLOT
  table.words[at(SLOT.kind)] = next
  assert.equal(lifelineOf(table, dead.id), undefined)
  noticeEndOf(table, us, dead.id)
  clearUp(table, us, seen.tag)
  assert.equal(table.words[at(SLOT.kind)], next)
  // Nor is it made another kind by who has seen it before.
  changeKind(table, dead.id, (deadTag << TAG_SHIFT) | THREAD_SLOT, DEAD_SLOT)
  assert.equal(table.words[at(SLOT.kind)], next)
})
