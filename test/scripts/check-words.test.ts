/** The check of the project's words fails on each word that it knows. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

interface Rule {
  readonly use: string
  readonly samples: readonly string[]
}

const script = new URL('../../../scripts/check-words.mjs', import.meta.url).href
const { RULES, check } = (await import(script)) as {
  readonly RULES: readonly Rule[]
  check(
    path: string,
    text: string,
  ): readonly { readonly line: number; readonly word: string; readonly use: string }[]
}

describe('the check of words', () => {
  for (const { use, samples } of RULES) {
    it(`asks for "${use}"`, () => {
      for (const sample of samples) {
        const found = check('sample.ts', `\n${sample}\n`).filter((finding) => finding.use === use)
        assert.ok(found.length > 0, sample)
        assert.ok(found.every(({ line }) => line === 2))
      }
    })
  }

  it('asks for the subject first in comments and pages, except in questions', () => {
    const openings = (path: string, text: string): number =>
      check(path, text).filter(({ use }) => use === 'the subject first').length
    assert.equal(openings('a.ts', '// Of two requests the older one.'), 1)
    assert.equal(openings('a.ts', '/** One. What it does. */'), 1)
    assert.equal(openings('a.ts', '/**\n * What a long comment\n * says here.\n */'), 1)
    assert.equal(openings('a.ts', '// What is it?'), 0)
    assert.equal(openings('a.ts', "const text = 'What to do: wait'"), 0)
    assert.equal(openings('a.md', 'Who waits, waits.'), 1)
    assert.equal(openings('a.md', '```\nWho waits, waits.\n```'), 0)
  })

  it('accepts the terms of the field and plain English', () => {
    for (const text of [
      '// a free lock, in the way of a request, on its way back',
      '// its place in the queue, in place of another',
      '// the hot path of a cycle, passing an argument',
    ]) {
      assert.deepEqual(check('sample.ts', text), [])
    }
  })
})
