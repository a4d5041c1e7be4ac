/**
 * Reads accounts and payment orders from CSV files. Everything is checked before anything is done: the
 * first fault is one line with file, line, column and what was expected.
 */

import { readFileSync, statSync } from 'node:fs'
import { CsvError, parse } from 'csv-parse/sync'
import { AmountError, allocateOrders, formatCents, type Orders, parseCents } from '../bank/index.ts'
import { visible } from '../explain/index.ts'
import { InputError } from './errors.ts'

/** The accounts of a file, in its sequence. */
export interface AccountsFile {
  readonly names: readonly string[]
  /** Opening balances in cents. */
  readonly balances: readonly number[]
}

/** The orders of a file, in its sequence. */
export interface OrdersFile {
  readonly ids: readonly string[]
  /** The line each order stands on. */
  readonly lines: readonly number[]
  readonly orders: Orders
}

/** One data row: its fields by column name, and where it stands. */
interface Row {
  readonly line: number
  readonly fields: Readonly<Record<string, string>>
}

/** The most that all accounts together may hold, in cents. */
const LARGEST_TOTAL = Number.MAX_SAFE_INTEGER

/** A text can be no longer in JavaScript. */
const LARGEST_FILE = 2 ** 29 - 2 ** 20

/** Reads `account,balance`. */
export function readAccounts(file: string): AccountsFile {
  const names: string[] = []
  const balances: number[] = []
  const lineOf = new Map<string, number>()
  let total = 0
  for (const { line, fields } of readRows(file, ['account', 'balance'])) {
    const name = fields.account as string
    if (name === '') throw fault(file, line, 'account', 'the name of an account', name)
    const before = lineOf.get(name)
    if (before !== undefined) {
      throw fault(file, line, 'account', `an account that line ${before} does not have`, name)
    }
    lineOf.set(name, line)
    const balance = cents(file, line, 'balance', fields.balance as string)
    total += balance
    if (total > LARGEST_TOTAL) {
      const most = `opening balances of at most ${formatCents(LARGEST_TOTAL)} together`
      throw fault(file, line, 'balance', most, fields.balance as string)
    }
    names.push(name)
    balances.push(balance)
  }
  if (names.length < 2) {
    throw new InputError(`${visible(file)}: expected at least 2 accounts, not ${names.length}`)
  }
  return { names, balances }
}

/** Reads `id,from,to,amount`; payer and payee must be among the accounts. */
export function readOrders(file: string, accounts: readonly string[]): OrdersFile {
  const numberOf = new Map(accounts.map((name, number) => [name, number]))
  const rows = readRows(file, ['id', 'from', 'to', 'amount'])
  const orders = allocateOrders(rows.length)
  for (const [i, { line, fields }] of rows.entries()) {
    for (const column of ['from', 'to'] as const) {
      const number = numberOf.get(fields[column] as string)
      if (number === undefined) {
        throw fault(file, line, column, 'an account of the accounts file', fields[column] as string)
      }
      orders[column][i] = number
    }
    if (fields.from === fields.to) {
      throw fault(file, line, 'to', 'another account than the payer', fields.to as string)
    }
    orders.amounts[i] = cents(file, line, 'amount', fields.amount as string)
  }
  return {
    ids: rows.map(({ fields }) => fields.id as string),
    lines: rows.map(({ line }) => line),
    orders,
  }
}

function cents(file: string, line: number, column: string, text: string): number {
  try {
    return parseCents(text)
  } catch (error) {
    if (error instanceof AmountError) throw fault(file, line, column, error.message, text)
    throw error
  }
}

/** The rows below the header, which must name all of `columns`; further ones are left alone. */
function readRows(file: string, columns: readonly string[]): Row[] {
  const records = parseRecords(file, readText(file))
  const [header, ...rows] = records
  if (!header)
    throw new InputError(
      `${visible(file)}, line 1: expected a header ${columns.join(',')}, found an empty file`,
    )
  for (const column of columns) {
    if (header.record.indexOf(column) !== header.record.lastIndexOf(column)) {
      throw new InputError(
        `${visible(file)}, line ${header.line}, column "${column}": expected one column of this name`,
      )
    }
    if (header.record.includes(column)) continue
    throw new InputError(
      `${visible(file)}, line ${header.line}: expected a column "${column}" in the header, found ` +
        visible(header.record.map((name) => `"${name}"`).join(', ')).slice(0, 80),
    )
  }
  return rows.map(({ record, line }) => {
    if (record.length !== header.record.length) {
      const column = header.record[record.length] ?? header.record.at(-1)
      throw new InputError(
        `${visible(file)}, line ${line}, column "${visible(column ?? '')}": expected ` +
          `${header.record.length} fields, found ${record.length}`,
      )
    }
    return {
      line,
      fields: Object.fromEntries(header.record.map((name, i) => [name, record[i] as string])),
    }
  })
}

function parseRecords(file: string, text: string): { record: string[]; line: number }[] {
  try {
    const parsed = parse(text, {
      info: true,
      relaxColumnCount: true,
      recordDelimiter: ['\r\n', '\n', '\r'],
      skipEmptyLines: true,
    }) as unknown as { record: string[]; info: { bytes: number } }[]
    const lineAt = lineCounter(Buffer.from(text))
    let end = 0
    return parsed.map(({ record, info }) => {
      const line = lineAt(end)
      end = info.bytes
      return { record, line }
    })
  } catch (error) {
    if (!(error instanceof CsvError)) throw error
    const { lines = 1, index = 0 } = error as { lines?: number; index?: number }
    throw new InputError(
      `${visible(file)}, line ${lines}, column ${index + 1}: expected well-formed CSV: ` +
        visible(firstLine(error.message)),
    )
  }
}

/**
 * Answers on which line the first thing stands that is at a place or behind it; places must ascend. A
 * line ends with CR, LF or both. (The parser's own count takes CR LF inside a field for two.)
 */
function lineCounter(bytes: Buffer): (place: number) => number {
  const [LF, CR] = [10, 13]
  let at = 0
  let line = 1
  return (place) => {
    while (at < place || bytes[at] === LF || bytes[at] === CR) {
      if (bytes[at] === CR || (bytes[at] === LF && bytes[at - 1] !== CR)) line++
      at++
    }
    return line
  }
}

/** The file as text. */
function readText(file: string): string {
  const bytes = readBytes(file)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    const bad = firstBadByte(bytes)
    const byte = bad - Math.max(bytes.lastIndexOf('\n', bad - 1), bytes.lastIndexOf('\r', bad - 1))
    throw new InputError(
      `${visible(file)}, line ${lineCounter(bytes)(bad)}, byte ${byte}: expected UTF-8 text`,
    )
  }
}

function readBytes(file: string): Buffer {
  const stats = attempt(file, () => statSync(file))
  // A terminal or a device has no end.
  if (stats.isCharacterDevice() || stats.isBlockDevice()) throw unreadable(file, 'a device')
  if (stats.size > LARGEST_FILE) {
    throw new InputError(`${visible(file)}: expected at most ${LARGEST_FILE >> 20} MiB`)
  }
  return attempt(file, () => readFileSync(file))
}

/** What `read` gives; its error in our words. */
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
  return new InputError(`${visible(file)}: expected a CSV file, but ${reason}`)
}

/** Where bytes stop being UTF-8: there, decoding and encoding again gives something else. */
function firstBadByte(bytes: Buffer): number {
  const again = Buffer.from(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes))
  return again.findIndex((byte, at) => byte !== bytes[at])
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? ''
}

function fault(
  file: string,
  line: number,
  column: string,
  expected: string,
  found: string,
): InputError {
  return new InputError(
    `${visible(file)}, line ${line}, column "${column}": expected ${expected}, ` +
      `found "${visible(found.slice(0, 60))}"`,
  )
}
