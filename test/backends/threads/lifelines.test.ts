/** Detection of the end of a thread, where a test can make it certain. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import fs, {
  closeSync,
  existsSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readlinkSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import { clearUp, noticeEndOf } from '../../../src/backends/threads/deaths.ts'
import { DEAD_SLOT, SLOT, TAG_SHIFT, THREAD_SLOT } from '../../../src/backends/threads/layout.ts'
import {
  hasEnded,
  hasEndedLately,
  type Lifeline,
  NO_LIFELINE,
  ownLifeline,
  SYSTEM_THREAD,
} from '../../../src/backends/threads/lifelines.ts'
import { changeKind, lifelineOf } from '../../../src/backends/threads/owners.ts'
import { tryRegisterOwner } from '../../../src/backends/threads/register-owner.ts'
import { createTable } from '../../../src/backends/threads/table.ts'
import type { LayoutOptions } from '../../../src/backends/threads/table-layout.ts'

const lifelines = new URL('../../../src/backends/threads/lifelines.js', import.meta.url).href

/** A lifeline that is a file, as lifeline-file.ts reads it. */
function fileLifeline(descriptor: number): Lifeline {
  const { ino, mtimeMs, size } = fstatSync(descriptor)
  return { tag: 1, kind: descriptor + 1, number: ino, made: mtimeMs + size }
}

it('a file has ended when it is closed, even after its descriptor is reused', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lockwise-'))
  const path = join(folder, 'a')
  const descriptor = openSync(path, 'w')
  utimesSync(path, 1, 1)
  const lifeline = fileLifeline(descriptor)
  assert.equal(hasEnded(lifeline), false)
  closeSync(descriptor)
  assert.equal(hasEnded(lifeline), true)
  // The same descriptor of the same file, with another time, then with the same time and another length.
  const again = (): boolean => {
    assert.equal(openSync(path, 'r'), descriptor)
    const ended = hasEnded(lifeline)
    closeSync(descriptor)
    return ended
  }
  utimesSync(path, 2, 2)
  assert.equal(again(), true)
  utimesSync(path, 1, 1)
  assert.equal(again(), false)
  writeFileSync(path, 'longer')
  utimesSync(path, 1, 1)
  assert.equal(again(), true)
  rmSync(folder, { recursive: true })
})

describe('a system thread', { skip: !existsSync('/proc/thread-self') }, () => {
  const link = process.platform === 'linux' ? readlinkSync('/proc/thread-self') : ''
  const number = Number(link.split('/').at(-1))
  const living: Lifeline = { tag: 1, kind: SYSTEM_THREAD, number, made: 0 }

  it('ends with its entry in /proc', () => {
    assert.equal(hasEnded(living), false)
    assert.equal(hasEnded({ ...living, number: 2 ** 30 }), true)
  })

  it('has ended when another one with its number has started', () => {
    assert.equal(hasEnded({ ...living, made: 1 }), true)
  })

  for (const code of ['EMFILE', 'EACCES', 'ERR_ACCESS_DENIED']) {
    it(`is not known to have ended after ${code}`, (test) => {
      const fails = (): never => {
        throw Object.assign(new Error(code), { code })
      }
      test.mock.method(fs, 'readFileSync', fails)
      assert.equal(hasEnded({ ...living, made: 1 }), false)
      test.mock.method(fs, 'statSync', fails)
      assert.equal(hasEnded({ ...living, number: 2 ** 30 }), false)
    })
  }

  it('is checked seldom for repeated callers, and at once for others', (test) => {
    const { mock } = test.mock.method(fs, 'statSync')
    const one = { ...living, tag: 2 }
    for (let i = 0; i < 50; i++) assert.equal(hasEndedLately(one), false)
    assert.ok(mock.callCount() < 10, `asked ${mock.callCount()} times`)
    const ended = { ...one, number: 2 ** 30 }
    assert.equal(hasEnded(ended), true)
    assert.equal(hasEndedLately(ended), true)
  })

  for (const when of ['later', 'before'] as const) {
    it(`has its start time in its lifeline, where descriptors are left only ${when}`, async () => {
      const program = `
        const fs = require('node:fs')
        const { readFileSync } = fs
        // Only there: Node itself reads modules by this function.
        const fails = (path, ...rest) => {
          if (!String(path).startsWith('/proc')) return readFileSync(path, ...rest)
          throw Object.assign(new Error('EMFILE'), { code: 'EMFILE' })
        }
        if ('${when}' === 'later') fs.readFileSync = fails
        import(${JSON.stringify(lifelines)}).then(({ ownLifeline }) => {
          if ('${when}' === 'later') ownLifeline()
          fs.readFileSync = '${when}' === 'later' ? readFileSync : fails
          require('node:worker_threads').parentPort.postMessage(ownLifeline())
        })`
      const [{ kind, made }] = await once(new Worker(program, { eval: true }), 'message')
      assert.equal(kind, SYSTEM_THREAD)
      assert.notEqual(made, 0)
    })
  }

  it('is not known to have ended where /proc has disappeared', (test) => {
    test.mock.method(fs, 'statSync', () => {
      throw Object.assign(new Error('gone'), { code: 'ENOENT' })
    })
    assert.equal(hasEnded(living), false)
  })
})

it('the main thread has no lifeline, and never ends', () => {
  assert.equal(ownLifeline().kind, NO_LIFELINE)
  assert.equal(hasEnded(ownLifeline()), false)
})

it('the slot of a dead thread is not taken for that of its next owner, while that one registers', () => {
  const table = createTable(
    { count: 2, recordBytes: 16, order: 'ascending', owners: 4 } as LayoutOptions,
    'buffer',
  )
  const us = tryRegisterOwner(table, 'us', { kind: THREAD_SLOT })
  const dead = tryRegisterOwner(table, 'dead', { kind: THREAD_SLOT })
  assert.ok(us && dead)
  const at = (field: number): number => (dead.slot + field) >> 2
  const [deadTag, nextTag] = [7, 8]
  // A descriptor that is not open is the lifeline of a thread that has ended.
  table.words[at(SLOT.lifeline)] = 1_000_000
  table.words[at(SLOT.lifelineTag)] = deadTag
  table.words[at(SLOT.kind)] = (deadTag << TAG_SHIFT) | THREAD_SLOT
  const seen = lifelineOf(table, dead.id)
  assert.ok(seen && hasEnded(seen))
  // The next owner has taken the slot, but has not written its own lifeline yet.
  const next = (nextTag << TAG_SHIFT) | THREAD_SLOT
  table.words[at(SLOT.kind)] = next
  assert.equal(lifelineOf(table, dead.id), undefined)
  noticeEndOf(table, us, dead.id)
  clearUp(table, us, seen.tag)
  assert.equal(table.words[at(SLOT.kind)], next)
  // A thread that read the old kind cannot change the new one either.
  changeKind(table, dead.id, (deadTag << TAG_SHIFT) | THREAD_SLOT, DEAD_SLOT)
  assert.equal(table.words[at(SLOT.kind)], next)
})
