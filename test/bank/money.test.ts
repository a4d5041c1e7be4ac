/** Amounts as text and as cents. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { AmountError, formatCents, parseCents } from '../../src/bank/index.ts'

describe('parsing amounts', () => {
  const right: [string, number][] = [
    ['245.20', 24520],
    ['245.2', 24520],
    ['245', 24500],
    ['245.', 24500],
    ['.80', 80],
    ['0.00', 0],
    ['007.10', 710],
    ['000000000000000000000012.5', 1250],
    ['1.2000', 120],
    ['90071992547409.91', Number.MAX_SAFE_INTEGER],
  ]
  for (const [text, cents] of right) {
    it(`reads ${text} as ${cents} cents`, () => assert.equal(parseCents(text), cents))
  }

  const wrong = [
    '',
    '.',
    '-1',
    '+1',
    '1e5',
    ' 1',
    '1 ',
    '1,5',
    '1.005',
    'NaN',
    'Infinity',
    '0x10',
    '１',
    '90071992547409.92',
    `1${'0'.repeat(400)}`,
  ]
  for (const text of wrong) {
    it(`refuses ${JSON.stringify(text.slice(0, 20))}`, () =>
      assert.throws(() => parseCents(text), AmountError))
  }

  it('shows the expected and the given text in its error', () => {
    assert.throws(() => parseCents('1e5\n'), {
      message: 'expected a plain amount such as 245.20, not "1e5\\u000a"',
      expected: 'a plain amount such as 245.20',
    })
    assert.throws(() => parseCents(undefined as never), AmountError)
  })

  it('reads formatted amounts back', () => {
    fc.assert(fc.property(fc.maxSafeNat(), (cents) => parseCents(formatCents(cents)) === cents))
    assert.equal(formatCents(-5), '-0.05')
  })
})
