/** How the end of a thread is seen, where a test can make it certain. */

import assert from 'node:assert/strict'
import { closeSync, fstatSync, mkdtempSync, openSync, rmSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { hasEnded, type Lifeline, ownLifeline } from '../../../src/backends/threads/lifelines.ts'

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
