/** Finds where bytes stop being UTF-8, and guesses their real encoding. */

/** An encoding: its name for people, and for `iconv -f`; `undefined` if a conversion would not help. */
export interface Encoding {
  readonly name: string
  readonly iconv: string | undefined
}

/** Byte order marks, longer ones first. */
const MARKS: readonly (readonly [mark: readonly number[], encoding: Encoding])[] = [
  [[0xff, 0xfe, 0, 0], { name: 'UTF-32 (little-endian)', iconv: 'UTF-32' }],
  [[0, 0, 0xfe, 0xff], { name: 'UTF-32 (big-endian)', iconv: 'UTF-32' }],
  [[0xff, 0xfe], { name: 'UTF-16 (little-endian)', iconv: 'UTF-16' }],
  [[0xfe, 0xff], { name: 'UTF-16 (big-endian)', iconv: 'UTF-16' }],
]

/** The number of first bytes that are searched for NULs: they hold the header, which is ASCII. */
const SAMPLE = 32

const NOT_IN_WINDOWS_1252: ReadonlySet<number> = new Set([0x81, 0x8d, 0x8f, 0x90, 0x9d])

/** Guesses the encoding of bytes that are not UTF-8 from index `bad` on. */
export function likelyEncoding(bytes: Uint8Array, bad: number): Encoding {
  const wide = utf16In(bytes)
  if (wide) return wide
  const isAscii = bytes.subarray(0, bad).every((byte) => byte < 0x80)
  if (!isAscii) return { name: 'UTF-8 with a damaged character', iconv: undefined }
  // The file ends within its last character.
  if (isCutOff(bytes, bad)) return { name: 'UTF-8 that was cut off', iconv: undefined }
  if (bytes.some((byte) => NOT_IN_WINDOWS_1252.has(byte))) {
    return { name: 'an 8-bit encoding other than Windows-1252', iconv: undefined }
  }
  return { name: 'Windows-1252 (Latin-1)', iconv: 'WINDOWS-1252' }
}

/**
 * Returns UTF-16 or UTF-32 if the bytes begin with its mark; UTF-16 also if every other first byte is NUL.
 */
export function utf16In(bytes: Uint8Array): Encoding | undefined {
  for (const [mark, encoding] of MARKS) {
    if (mark.every((byte, at) => bytes[at] === byte)) return encoding
  }
  const nuls = [0, 0]
  const sample = bytes.subarray(0, SAMPLE)
  for (const [at, byte] of sample.entries()) if (byte === 0) nuls[at % 2] = (nuls[at % 2] ?? 0) + 1
  const [even = 0, odd = 0] = nuls
  const half = sample.length / 4
  if (odd > half && even === 0) return { name: 'UTF-16 (little-endian)', iconv: 'UTF-16LE' }
  if (even > half && odd === 0) return { name: 'UTF-16 (big-endian)', iconv: 'UTF-16BE' }
  return undefined
}

/** Returns the length of the valid UTF-8 beginning, which is the index of the first bad byte. */
export function validUtf8Length(bytes: Uint8Array): number {
  let at = 0
  while (at < bytes.length) {
    const length = characterLength(bytes, at)
    if (length === 0) return at
    at += length
  }
  return at
}

/** The length of the character at an index; 0 if it is not valid. (Unicode 16, table 3-7.) */
function characterLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] as number
  if (lead < 0x80) return 1
  const length = lengthByLead(lead)
  // Excludes overlong forms, surrogates, and values above U+10FFFF.
  const least = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80
  const most = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf
  for (let i = 1; i < length; i++) {
    const byte = bytes[at + i] ?? 0
    if (byte < (i === 1 ? least : 0x80) || byte > (i === 1 ? most : 0xbf)) return 0
  }
  return length
}

/** The length of a character with this first byte; 0 if no character begins so. */
function lengthByLead(lead: number): number {
  if (lead >= 0xc2 && lead <= 0xdf) return 2
  if (lead >= 0xe0 && lead <= 0xef) return 3
  return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0
}

/** Whether the bytes end within the character at an index, after at least two bytes of it. */
function isCutOff(bytes: Uint8Array, at: number): boolean {
  const rest = bytes.subarray(at)
  return (
    rest.length >= 2 &&
    rest.length < lengthByLead(bytes[at] as number) &&
    rest.subarray(1).every((byte) => byte >= 0x80 && byte < 0xc0)
  )
}
