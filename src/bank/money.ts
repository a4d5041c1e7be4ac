/** Converts money between decimal text, for people, and whole cents, for the bank. */

import { visible } from '../explain/index.ts'

/** Thrown for a text that is no amount. */
export class AmountError extends Error {
  override readonly name = 'AmountError'
  /** The kind of text that was expected, for messages that show the text themselves. */
  readonly expected: string

  constructor(expected: string, text: string) {
    super(`expected ${expected}, not "${visible(String(text).slice(0, MAX_SHOWN))}"`)
    this.expected = expected
  }
}

/** The number of UTF-16 code units of a text that a message shows. */
const MAX_SHOWN = 40

const PLAIN = /^0*(\d*)(?:\.(\d*))?$/
const MAX_CENTS = BigInt(Number.MAX_SAFE_INTEGER)

/**
 * Returns the cents in a plain decimal amount such as `245.20`, `245.2`, `245` or `.20`.
 *
 * @throws AmountError for anything else: a sign, an exponent, a space, a separator, more than two decimals
 *   that are not 0, or more cents than a safe integer.
 */
export function parseCents(text: string): number {
  const match = /\d/.test(text) ? PLAIN.exec(text) : null
  if (!match) throw new AmountError('a plain amount such as 245.20', text)
  const [, whole = '', fraction = ''] = match
  if (/[1-9]/.test(fraction.slice(2))) {
    throw new AmountError('an amount with at most two decimals', text)
  }
  const cents =
    whole.length > 16 ? MAX_CENTS + 1n : BigInt(whole + fraction.slice(0, 2).padEnd(2, '0'))
  if (cents > MAX_CENTS) {
    throw new AmountError(`an amount up to ${formatCents(Number(MAX_CENTS))}`, text)
  }
  return Number(cents)
}

/** Formats cents with two decimals: `24520` as `245.20`. Exact for every safe integer, also negative ones. */
export function formatCents(cents: number): string {
  const digits = String(Math.abs(cents)).padStart(3, '0')
  return `${cents < 0 ? '-' : ''}${digits.slice(0, -2)}.${digits.slice(-2)}`
}
