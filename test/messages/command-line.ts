/** Provokes the errors of the command line. */

import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runNode, runShell } from '../spawn.ts'
import { print } from './blocks.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))
const ACCOUNTS = 'account,balance\nA,10.00\nB,5.00\n'
const ORDERS = 'id,from,to,amount\n1,A,B,2.50\n'
const UTF16 = Buffer.from(ACCOUNTS, 'utf16le')

/** Accounts files with a fault. */
const BAD_ACCOUNTS: Readonly<Record<string, string | Buffer>> = {
  'an empty file': '',
  'a header without the column balance': 'account,saldo\nA,1\n',
  'a header with a column twice': 'account,balance,balance\nA,1,1\n',
  'a row with too many fields': 'account,balance\nA,1,2\n',
  'an account without a name': 'account,balance\n,1\n',
  'an account twice': 'account,balance\nA,1\nA,2\n',
  'one account': 'account,balance\nA,1\n',
  'a balance with a sign': 'account,balance\nA,-1\nB,1\n',
  'a balance with three decimals': 'account,balance\nA,1.234\nB,1\n',
  'a balance that is too large': 'account,balance\nA,99999999999999999\nB,1\n',
  'a total that is too large': 'account,balance\nA,90071992547409.91\nB,1\n',
  'a quote that is not closed': 'account,balance\n"A,1\nB,1\n',
  'UTF-16': UTF16,
  'Latin-1': Buffer.from('account,balance\nM\xfcller,1\n', 'latin1'),
  'a damaged character': Buffer.from([...Buffer.from('account,balance\nMü,1\nM'), 0xfc, 10]),
  'the end in the middle of a character': Buffer.from([
    ...Buffer.from('account,balance\nA,1\nB'),
    0xe2,
    0x82,
  ]),
  'an unknown 8-bit encoding': Buffer.from('account,balance\nM\x81ller,2\n', 'latin1'),
}

/** Transfers files with a fault. */
const BAD_ORDERS: Readonly<Record<string, string>> = {
  'an order of an unknown account': 'id,from,to,amount\n1,A,C,1\n',
  'an order to the payer': 'id,from,to,amount\n1,A,A,1\n',
  'an amount with a comma': 'id,from,to,amount\n1,A,B,"1,5"\n',
}

/** Runs the command with wrong arguments and wrong files, and prints what it writes to stderr. */
export function provokeCommandLine(): void {
  const folder = mkdtempSync(join(tmpdir(), 'lockwise-messages-'))
  const run = (how: string, args: readonly string[]): void => {
    const { status, stderr } = runNode([MAIN, ...args], { cwd: folder })
    printLine(how, status, stderr)
  }
  const bank = (...args: string[]): void =>
    run(`lockwise bank ${args.join(' ')}`, ['bank', ...args])
  try {
    const file = (name: string, text: string | Buffer): void =>
      writeFileSync(join(folder, name), text)
    file('accounts.csv', ACCOUNTS)
    file('orders.csv', ORDERS)
    mkdirSync(join(folder, 'folder'))
    run('lockwise branch', ['branch'])
    run('lockwise help branch', ['help', 'branch'])
    bank('now')
    bank('--thread', '3')
    bank('--threads', 'x')
    bank('--strategy', 'fair')
    bank('--threads')
    bank('--no-pause', '--on', 'tasks')
    bank('--strategy', 'striped', '--stripes', '9')
    bank('--out', 'out.csv')
    bank('--accounts-file', 'accounts.csv')
    const files = ['--accounts-file', 'accounts.csv', '--transfers-file', 'orders.csv']
    bank(...files, '--seed', '3')
    for (const out of ['', 'folder', '/dev/null', 'accounts.csv', 'nowhere/out.csv']) {
      bank(...files, '--out', out)
    }
    bank(...files, '--out', `${'x'.repeat(300)}.csv`)
    for (const input of ['missing.csv', 'folder', '/dev/null', 'accounts.csv/x']) {
      bank('--accounts-file', input, '--transfers-file', 'orders.csv')
    }
    file('large.csv', '')
    truncateSync(join(folder, 'large.csv'), 2 ** 29)
    bank('--accounts-file', 'large.csv', '--transfers-file', 'orders.csv')
    const rest = ['bank', '--transfers-file', 'orders.csv', '--accounts-file']
    for (const [what, text] of Object.entries(BAD_ACCOUNTS)) {
      file('bad.csv', text)
      run(`lockwise bank with an accounts file: ${what}`, [...rest, 'bad.csv'])
    }
    for (const [what, text] of Object.entries(BAD_ORDERS)) {
      file('bad.csv', text)
      const args = ['bank', '--accounts-file', 'accounts.csv', '--transfers-file', 'bad.csv']
      run(`lockwise bank with a transfers file: ${what}`, args)
    }
    const program = [process.execPath, MAIN]
    printLine('lockwise bank, interrupted', ...interrupted(folder))
    shell(
      'lockwise bank > /dev/full',
      '"$0" "$1" bank --strategy global > /dev/full',
      program,
      folder,
    )
    // Nobody can make files there.
    bank(...files, '--strategy', 'ordered', '--out', '/proc/out.csv')
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The exit status and stderr of a run that is interrupted. A signal before its start ends it silently. */
function interrupted(cwd: string): [status: number | null, stderr: string] {
  const args = '"$0" "$1" bank --strategy ordered --transfers 100000000'
  for (const seconds of [1, 2, 4, 8, 16]) {
    const command = `timeout -s TERM --preserve-status ${seconds} ${args}`
    const { status, stderr } = runShell(command, [process.execPath, MAIN], { cwd })
    if (stderr !== '') return [status, stderr]
  }
  return [null, '']
}

function shell(how: string, command: string, args: readonly string[], cwd: string): void {
  const { status, stderr } = runShell(command, args, { cwd })
  printLine(how, status, stderr)
}

function printLine(how: string, status: number | null, stderr: string): void {
  const lines = stderr.trim().split('\n')
  const message = lines.filter((line) => line.startsWith('lockwise: ')).join('\n')
  if (message === '') throw new Error(`${how}: there was no message, but\n${stderr}`)
  const heading = how.length > 200 ? `${how.slice(0, 200)}…` : how
  print(heading, { name: `stderr, exit status ${status}`, message })
}
