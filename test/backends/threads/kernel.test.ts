/** The kernel as deaths.ts needs it: no thread can be ended between a lock and its place on the list. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { it } from 'node:test'

const text = readFileSync(
  new URL('../../../../src/backends/threads/kernel.wat', import.meta.url),
  'utf8',
).replaceAll(/;;.*/g, '')

/** Where a function begins to take or free locks, and where the last of them is taken or free. */
const BEGINS = /cmpxchg|i32\.store \(global\.get \$top\)/
const ENDS = /.*(?:xchg|i32\.(?:atomic\.)?store)/s

it('the kernel takes and frees locks in straight lines of code, without calls and loops', () => {
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
