/** Reads a CSV file as text: checks its size and encoding, counts its lines. */

import { readFileSync, statSync } from 'node:fs'
import { visible } from '../explain/index.ts'
import { likelyEncoding, utf16In, validUtf8Length } from './encoding.ts'
import { InputError } from './errors.ts'

/** The maximum file size: JavaScript strings are not longer. */
const MAX_FILE_BYTES = 2 ** 29 - 2 ** 20

/**
 * Reads a file as text.
 *
 * @throws InputError for a file that cannot be read, is too large, or is not UTF-8. The error for an encoding
 *   names the likely encoding, the first bad byte and its line, and the remedy.
 */
export function readText(file: string): string {
  const bytes = readBytes(file)
  // ASCII letters in UTF-16 are valid UTF-8, each with a NUL beside it.
  if (utf16In(bytes) !== undefined) throw notUtf8(file, bytes, 0)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw notUtf8(file, bytes, validUtf8Length(bytes))
  }
}

function notUtf8(file: string, bytes: Buffer, bad: number): InputError {
  // A negative index would count from the end.
  const lineEnd =
    bad === 0 ? -1 : Math.max(bytes.lastIndexOf('\n', bad - 1), bytes.lastIndexOf('\r', bad - 1))
  const { name, iconv } = likelyEncoding(bytes, bad)
  const input = /^[\w./][\w./-]*$/.test(file) ? file : 'FILE'
  const convert = iconv && `save it as UTF-8, or run iconv -f ${iconv} -t UTF-8 ${input} > NEW.csv`
  return new InputError(
    `${visible(file)}, line ${lineCounter(bytes)(bad)}, byte ${bad - lineEnd}: expected UTF-8 text, ` +
      `but this looks like ${name}: ${convert ?? 'repair this line, or export the file again as UTF-8'}`,
  )
}

/**
 * Returns a function that gives the line of the first character at or after an index, line ends skipped.
 * Indices must ascend. A line ends with CR, LF or both. (The parser's own count takes a CR LF inside a field
 * for two line ends.)
 */
export function lineCounter(bytes: Buffer): (offset: number) => number {
  const [LF, CR] = [10, 13]
  let at = 0
  let line = 1
  return (offset) => {
    while (at < offset || bytes[at] === LF || bytes[at] === CR) {
      if (bytes[at] === CR || (bytes[at] === LF && bytes[at - 1] !== CR)) line++
      at++
    }
    return line
  }
}

function readBytes(file: string): Buffer {
  const stats = attempt(file, () => statSync(file))
  // A terminal or a device has no end.
  if (stats.isCharacterDevice() || stats.isBlockDevice()) throw notCsv(file, 'this is a device')
  // A pipe has no size before it is read.
  const bytes = stats.size > MAX_FILE_BYTES ? undefined : attempt(file, () => readFileSync(file))
  if (bytes === undefined || bytes.length > MAX_FILE_BYTES) {
    const size = Math.ceil((bytes?.length ?? stats.size) / 2 ** 20)
    throw new InputError(
      `${visible(file)}: expected at most ${MAX_FILE_BYTES >> 20} MiB, found ${size} MiB`,
    )
  }
  return bytes
}

/** Returns the result of `read`; an error is rethrown in our words. */
function attempt<Result>(file: string, read: () => Result): Result {
  try {
    return read()
  } catch (error) {
    throw unreadable(file, (error as NodeJS.ErrnoException).code)
  }
}

function unreadable(file: string, code: string | undefined): InputError {
  const reason =
    code === 'ENOENT'
      ? 'there is no such file'
      : code === 'EISDIR'
        ? 'this is a folder'
        : `it cannot be read (${code})`
  return notCsv(file, reason)
}

function notCsv(file: string, reason: string): InputError {
  return new InputError(`${visible(file)}: expected a CSV file, but ${reason}`)
}
