/**
 * Reads accounts and payment orders from CSV files. Checks everything before any work begins. The first fault
 * is reported in one line with the file, the line, the column and the expected value.
 */

import { CsvError, parse } from 'csv-parse/sync'
import { AmountError, allocateOrders, formatCents, type Orders, parseCents } from '../bank/index.ts'
import { visible } from '../explain/index.ts'
import { lineCounter, readText } from './csv-text.ts'
import { InputError } from './errors.ts'

/** The accounts of a file, in file order. */
export interface AccountsFile {
  readonly names: readonly string[]
  /** Opening balances in cents. */
  readonly balances: readonly number[]
}

/** The orders of a file, in file order. */
export interface OrdersFile {
  readonly ids: readonly string[]
  /** The line of each order. */
  readonly lines: readonly number[]
  readonly orders: Orders
}

/** The maximum total of all accounts, in cents. */
const MAX_TOTAL = Number.MAX_SAFE_INTEGER

/** The number of UTF-16 code units of a field that a message shows. */
const MAX_SHOWN = 60

/** Reads `account,balance`. */
export function readAccounts(file: string): AccountsFile {
  const names: string[] = []
  const balances: number[] = []
  const lineOf = new Map<string, number>()
  let total = 0
  readRows(file, ['account', 'balance'], (line, [name = '', text = '']) => {
    if (name === '') throw fault(file, line, 'account', 'the name of an account', name)
    const before = lineOf.get(name)
    if (before !== undefined) {
      throw new InputError(
        `${cell(file, line, 'account')}: expected each account once, but "${brief(name)}" is already on line ${before}`,
      )
    }
    lineOf.set(name, line)
    const balance = cents(file, line, 'balance', text)
    total += balance
    if (total > MAX_TOTAL) {
      throw new InputError(
        `${cell(file, line, 'balance')}: expected opening balances of at most ${formatCents(MAX_TOTAL)} ` +
          `together, but "${brief(text)}" exceeds that`,
      )
    }
    names.push(name)
    balances.push(balance)
  })
  if (names.length < 2) {
    throw new InputError(`${visible(file)}: expected at least 2 accounts, not ${names.length}`)
  }
  return { names, balances }
}

/** Reads `id,from,to,amount`. Payer and payee must be among the accounts. */
export function readOrders(file: string, accounts: readonly string[]): OrdersFile {
  const numberOf = new Map(accounts.map((name, number) => [name, number]))
  const ids: string[] = []
  const lines: number[] = []
  const columns = { from: [] as number[], to: [] as number[], amounts: [] as number[] }
  readRows(
    file,
    ['id', 'from', 'to', 'amount'],
    (line, [id = '', from = '', to = '', amount = '']) => {
      for (const [column, name] of [
        ['from', from],
        ['to', to],
      ] as const) {
        const number = numberOf.get(name)
        if (number === undefined) {
          throw fault(file, line, column, 'an account of the accounts file', name)
        }
        columns[column].push(number)
      }
      if (from === to) throw fault(file, line, 'to', 'another account than the payer', to)
      columns.amounts.push(cents(file, line, 'amount', amount))
      ids.push(id)
      lines.push(line)
    },
  )
  const orders = allocateOrders(ids.length)
  for (const column of ['from', 'to', 'amounts'] as const) orders[column].set(columns[column])
  return { ids, lines, orders }
}

function cents(file: string, line: number, column: string, text: string): number {
  try {
    return parseCents(text)
  } catch (error) {
    if (error instanceof AmountError) throw fault(file, line, column, error.expected, text)
    throw error
  }
}

/**
 * Visits the rows below the header with the fields of `columns`, which the header must name. Ignores other
 * columns. Visits each row as soon as it is read, so the first fault ends the reading.
 */
function readRows(
  file: string,
  columns: readonly string[],
  visit: (line: number, fields: readonly string[]) => void,
): void {
  let header: { readonly names: readonly string[]; readonly indexes: readonly number[] } | undefined
  eachRecord(file, (line, record) => {
    if (header === undefined) {
      header = { names: record, indexes: indexesOf(file, line, record, columns) }
      return
    }
    const { names, indexes } = header
    if (record.length !== names.length) {
      const column = names[record.length] ?? names.at(-1)
      throw new InputError(
        `${cell(file, line, visible(column ?? ''))}: expected ${names.length} fields, found ${record.length}`,
      )
    }
    visit(
      line,
      indexes.map((index) => record[index] as string),
    )
  })
  if (header === undefined) {
    throw new InputError(
      `${visible(file)}, line 1: expected a header ${columns.join(',')}, found an empty file`,
    )
  }
}

/** Returns the index of each column in a row. */
function indexesOf(
  file: string,
  line: number,
  header: readonly string[],
  columns: readonly string[],
): number[] {
  return columns.map((column) => {
    const index = header.indexOf(column)
    if (index !== header.lastIndexOf(column)) {
      throw new InputError(
        `${cell(file, line, column)}: expected one column of this name, found ` +
          `${header.filter((name) => name === column).length}`,
      )
    }
    if (index >= 0) return index
    throw new InputError(
      `${visible(file)}, line ${line}: expected a column "${column}" in the header, found ` +
        visible(header.map((name) => `"${name}"`).join(', ')).slice(0, 80),
    )
  })
}

function eachRecord(file: string, visit: (line: number, record: string[]) => void): void {
  const text = readText(file)
  const lineAt = lineCounter(Buffer.from(text))
  let end = 0
  try {
    parse(text, {
      relaxColumnCount: true,
      recordDelimiter: ['\r\n', '\n', '\r'],
      skipEmptyLines: true,
      // Returns nothing, because the parser keeps returned values.
      onRecord: (record: string[], { bytes }: { bytes: number }) => {
        visit(lineAt(end), record)
        end = bytes
      },
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
    `${cell(file, line, column)}: expected ${expected}, found "${brief(found)}"`,
  )
}

/** The position of a field, at the beginning of a message. */
function cell(file: string, line: number, column: string): string {
  return `${visible(file)}, line ${line}, column "${column}"`
}

/** The beginning of a field's text. */
function brief(text: string): string {
  return visible(text.slice(0, MAX_SHOWN))
}
