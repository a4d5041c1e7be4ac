/** Every message of the package is provoked, and can be read by somebody who does not know the package. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runNode } from '../spawn.ts'
import { UNPROVOKED } from './unprovoked.ts'

const skip = existsSync('/proc/thread-self') ? false : 'needs /proc'
const program = fileURLToPath(new URL('./run.js', import.meta.url))

/** One message, as the program prints it. */
interface Block {
  readonly how: string
  readonly name: string
  readonly text: string
}

/** Verbs that say what to do where a clause begins with one. */
const VERBS =
  'add|ask|await|call|choose|close|create|install|leave|let|look|make|name|open|pass|release|repair|request|run|save|see|set|take|try|unlock|use|wait|write'

/**
 * Words of which a message has at least one: what to do, or what is expected. A verb counts only at the
 * beginning of a clause. Weak words such as "not", "only", "for" and "held" say what happened: they do not
 * count.
 */
const REMEDIES = new RegExp(
  [
    String.raw`\b(?:must|expected|needs?|did you mean|allowed choices|argument missing|only .* makes? a)\b`,
    String.raw`--help\b`,
    String.raw`(?:[:;.,] |\b(?:or|and|then) )(?:do not |only )?(?:${VERBS})\b`,
  ].join('|'),
  'i',
)

/** The only message with nothing to do: the user has interrupted the command. */
const INTERRUPTED = 'stderr, exit status 130'

const IS_WRONG: Readonly<Record<string, RegExp>> = {
  'an undefined value': /\bundefined\b/,
  'an object without a text': /\[object (?!Object\]', as Web IDL)/,
  'a number that is none': /\bNaN\b/,
  'an empty name': /(?<![\w(])''|(?<!found )""|\b(?:by|behind|of) ?[,.;)]/,
  'a line of the library': /\b(?:dist\/)?src\/[\w/-]+\.[jt]s:\d/,
  'a line of Node': /\bnode:internal/,
  'a type error of JavaScript': /Cannot read|is not a function|is not iterable/,
  'a word that says nothing':
    /\b(?:something|somehow|wrong|bad(?!\.csv)|oops|illegal (?!constructor))\b/i,
}

describe('the messages', { timeout: 300_000, skip }, () => {
  const { status, stdout, stderr } = runNode([program], { timeoutMs: 280_000 })
  const [tally = ''] = /^\d+ origins of messages[\s\S]*/m.exec(stdout) ?? []
  const blocks = stdout
    .slice(0, stdout.length - tally.length)
    .split(/^# /m)
    .slice(1)
    .map((block): Block => {
      const [how = '', name = '', ...lines] = block.split('\n')
      return { how, name, text: lines.join('\n').trim() }
    })

  it('are all printed', () => {
    assert.equal(status, 0, stderr)
    assert.ok(blocks.length > 250, `${blocks.length} blocks`)
  })

  it('each have a heading, a name and a text that says what to do or what was expected', () => {
    for (const { how, name, text } of blocks) {
      assert.ok(how !== '' && name !== '' && text !== '', how)
      if (name !== INTERRUPTED) assert.match(text, REMEDIES, how)
    }
  })

  for (const [what, pattern] of Object.entries(IS_WRONG)) {
    it(`never show ${what}`, () => {
      for (const { how, text } of blocks) assert.doesNotMatch(text, pattern, how)
    })
  }

  it('come from every origin except those in a short list, each with its reason', () => {
    const others = tally.split('\n').filter((line) => line.startsWith('not provoked: '))
    assert.deepEqual(
      others.filter((line) => line.includes('no reason is known')),
      [],
    )
    const unused = UNPROVOKED.filter(({ file, reason }) => {
      return !others.some((line) => line.includes(` ${file}:`) && line.endsWith(reason))
    })
    assert.deepEqual(unused, [])
    assert.equal(others.length, UNPROVOKED.length, tally)
  })
})
