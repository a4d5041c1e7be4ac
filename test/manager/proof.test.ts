/** The forms of awaiting that prove that a holder's callback waits. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ROWS, verdictOf } from './forms-table.ts'
import { itIfProved } from './if-proved.ts'

const WORDS = { proved: 'proved', suspected: 'only suspected', none: 'none' } as const

describe('a holder in a cycle', { timeout: 60_000 }, () => {
  for (const row of ROWS) {
    const needsTraces = row.onV8 === 'proved' && row.name !== 'returned by the callback'
    const test = needsTraces ? itIfProved : it
    test(`has a wait that is ${WORDS[row.onV8]} if its request is: ${row.name}`, async () => {
      assert.equal(await verdictOf(row, 'other'), row.onV8)
      if (!row.changes) assert.equal(await verdictOf(row, 'row'), row.onV8)
    })
  }
})
