/**
 * A property of the kernel that deaths.ts needs: no thread can end between the change of a lock and the
 * change of its owner's list.
 */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { it } from 'node:test'

const text = readFileSync(
  new URL('../../../../src/backends/threads/kernel.wat', import.meta.url),
  'utf8',
).replaceAll(/;;.*/g, '')

/** Where a function begins to take or release locks, and where it takes or releases the last of them. */
const BEGINS = /cmpxchg|i32\.store \(global\.get \$top\)/
const ENDS = /.*(?:xchg|i32\.(?:atomic\.)?store)/s

it('the kernel takes and releases locks in straight lines of code, without calls and loops', () => {
  let lines = 0
  for (const code of text.split('(func ').slice(1)) {
    const begin = BEGINS.exec(code)?.index
    if (begin === undefined) continue
    const straight = ENDS.exec(code.slice(begin))?.[0] ?? ''
    assert.doesNotMatch(straight, /call|loop|memory\./, code)
    lines++
  }
  assert.ok(lines >= 4, `${lines} functions found`)
})
