/**
 * CSV files in another encoding: the error names the encoding, the line and the byte, and says what to do.
 */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import fc from 'fast-check'
import { readAccounts } from '../../src/cli/csv-input.ts'
import { validUtf8Length } from '../../src/cli/encoding.ts'
import { runNode, runShell } from '../spawn.ts'

const folder = mkdtempSync(join(tmpdir(), 'lockwise-encoding-'))
after(() => rmSync(folder, { recursive: true }))

const TEXT = 'account,balance\nMüller,1.00\nAgnès,2.00\n'
const littleEndian = Buffer.from(TEXT, 'utf16le')
const bigEndian = Buffer.from(TEXT, 'utf16le').swap16()
const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')
/** Rows up to an offset in the file, then on line 3 a Latin-1 letter that is not valid UTF-8. */
const upTo = (byte: number): Buffer =>
  latin1(`account,balance\nA,1\n${'x'.repeat(byte - 20)}\xfc,2\n`)

/** Files, with the error text that must follow their name, and the advice. */
const files: Record<string, readonly [bytes: Buffer, said: string, advice: RegExp]> = {
  'UTF-16 LE with a mark': [
    Buffer.concat([Buffer.from([0xff, 0xfe]), littleEndian]),
    'line 1, byte 1: expected UTF-8 text, but this looks like UTF-16 (little-endian): ',
    /iconv -f UTF-16 -t UTF-8/,
  ],
  'UTF-16 BE with a mark': [
    Buffer.concat([Buffer.from([0xfe, 0xff]), bigEndian]),
    'line 1, byte 1: expected UTF-8 text, but this looks like UTF-16 (big-endian): ',
    /iconv -f UTF-16 -t UTF-8/,
  ],
  'UTF-16 LE without a mark': [
    littleEndian,
    'line 1, byte 1: expected UTF-8 text, but this looks like UTF-16 (little-endian): ',
    /iconv -f UTF-16LE -t UTF-8/,
  ],
  'UTF-16 BE without a mark': [
    bigEndian,
    'line 1, byte 1: expected UTF-8 text, but this looks like UTF-16 (big-endian): ',
    /iconv -f UTF-16BE -t UTF-8/,
  ],
  'UTF-16 LE of plain letters, which is valid UTF-8 too': [
    Buffer.from('account,balance\nA,1\nB,2\n', 'utf16le'),
    'line 1, byte 1: expected UTF-8 text, but this looks like UTF-16 (little-endian): ',
    /iconv -f UTF-16LE/,
  ],
  'UTF-32 with a mark': [
    Buffer.from([0xff, 0xfe, 0, 0, 0x61, 0, 0, 0]),
    'line 1, byte 1: expected UTF-8 text, but this looks like UTF-32 (little-endian): ',
    /iconv -f UTF-32/,
  ],
  'Latin-1 from its first byte on': [
    latin1('\xfcber,balance\nA,1\nB,2\n'),
    'line 1, byte 1: expected UTF-8 text, but this looks like Windows-1252 (Latin-1): ',
    /save it as UTF-8, or run iconv -f WINDOWS-1252 -t UTF-8 .* > NEW\.csv/,
  ],
  'Latin-1 in the middle': [
    latin1('account,balance\r\nA,1\r\nM\xfcller,2\r\n'),
    'line 3, byte 2: expected UTF-8 text, but this looks like Windows-1252 (Latin-1): ',
    /iconv -f WINDOWS-1252/,
  ],
  'Latin-1 whose letter could begin a character of UTF-8': [
    latin1('account,balance\nHa\xefti,2\n'),
    'line 2, byte 3: expected UTF-8 text, but this looks like Windows-1252 (Latin-1): ',
    /iconv -f WINDOWS-1252/,
  ],
  'Latin-1 at its end': [
    latin1('account,balance\nA,2\nB\xef'),
    'line 3, byte 2: expected UTF-8 text, but this looks like Windows-1252 (Latin-1): ',
    /iconv -f WINDOWS-1252/,
  ],
  ...Object.fromEntries(
    [65_535, 65_536, 65_537, 524_287, 524_288].map((byte) => [
      `Latin-1 at byte ${byte}, beside the end of a part that is read at once`,
      [
        upTo(byte),
        `line 3, byte ${byte - 20 + 1}: expected UTF-8 text, but this looks like Windows-1252 (Latin-1): `,
        /iconv -f WINDOWS-1252/,
      ] as const,
    ]),
  ),
  'another 8-bit encoding': [
    latin1('account,balance\nM\x81ller,2\n'),
    'line 2, byte 2: expected UTF-8 text, but this looks like an 8-bit encoding other than ',
    /export the file again as UTF-8/,
  ],
  'UTF-8 with a damaged character': [
    Buffer.concat([Buffer.from('account,balance\nMüller,1\nM'), latin1('\xfc,2\n')]),
    'line 3, byte 2: expected UTF-8 text, but this looks like UTF-8 with a damaged character: ',
    /repair this line/,
  ],
  'UTF-8 that was cut off': [
    Buffer.from('account,balance\nA,1\n€').subarray(0, -1),
    'line 3, byte 1: expected UTF-8 text, but this looks like UTF-8 that was cut off: ',
    /repair this line/,
  ],
}

describe('a CSV file in another encoding', { timeout: 60_000 }, () => {
  for (const [what, [bytes, said, advice]] of Object.entries(files)) {
    it(`is refused: ${what}`, () => {
      const file = join(folder, 'a.csv')
      writeFileSync(file, bytes)
      assert.throws(
        () => readAccounts(file),
        ({ name, message }: Error) => {
          assert.equal(name, 'InputError')
          assert.ok(message.startsWith(`${file}, ${said}`), message)
          assert.match(message, advice)
          assert.match(message, /^[^\n]+$/)
          return true
        },
      )
    })
  }

  it('is accepted if it is UTF-8 with a byte order mark, or with characters across two parts', () => {
    const file = join(folder, 'a.csv')
    const long = `${'x'.repeat(65_536 - 23)}€`
    writeFileSync(file, `\ufeffaccount,balance\nA,1\n${long},2\n`)
    assert.deepEqual(readAccounts(file), { names: ['A', long], balances: [100, 200] })
  })

  it('gets no suggested command if its name is special to a shell', () => {
    const file = join(folder, 'a $(b).csv')
    writeFileSync(file, littleEndian)
    assert.throws(() => readAccounts(file), /iconv -f UTF-16LE -t UTF-8 FILE > NEW\.csv/)
  })

  it('ends the command with 2 and one line, also through a pipe', () => {
    const main = new URL('../../src/cli/main.js', import.meta.url).pathname
    writeFileSync(join(folder, 'a.csv'), upTo(65_536))
    writeFileSync(join(folder, 'o.csv'), 'id,from,to,amount\n')
    const line =
      /^lockwise: \S+, line 3, byte 65517: expected UTF-8 text[^\n]+Windows-1252[^\n]+\n$/
    const options = { cwd: folder }
    const files = ['--accounts-file', 'a.csv', '--transfers-file', 'o.csv']
    const direct = runNode([main, 'bank', ...files], options)
    assert.equal(direct.status, 2)
    assert.match(direct.stderr, line)
    const command = 'cat a.csv | "$0" "$1" bank --accounts-file /dev/stdin --transfers-file o.csv'
    const piped = runShell(command, [process.execPath, main], options)
    assert.equal(piped.status, 2)
    assert.match(piped.stderr, line)
  })

  it('is detected at the byte that a decoder first replaces', () => {
    const byte = fc.oneof(fc.nat(255), fc.constantFrom(0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0xed))
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 12 }), (list) => {
        const bytes = Uint8Array.from(list)
        const valid = validUtf8Length(bytes)
        const strict = new TextDecoder('utf-8', { fatal: true })
        assert.doesNotThrow(() => strict.decode(bytes.subarray(0, valid)))
        for (let end = valid + 1; end <= bytes.length; end++) {
          assert.throws(() => strict.decode(bytes.subarray(0, end)))
        }
      }),
      { numRuns: 20_000 },
    )
  })
})
