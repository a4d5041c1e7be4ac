/** `lockwise bank` as a user runs it: output, exit status, real files. */

import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Ended, runNode, runShell } from '../spawn.ts'

const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'lockwise-'))
after(() => rmSync(folder, { recursive: true }))

const ACCOUNTS = 'account,balance\nA,10.00\nB,5.00\n"C, Ltd",0.00\n'
const ORDERS = 'id,from,to,amount\n1,A,B,2.50\n2,B,"C, Ltd",.80\n3,A,B,100\n'

function bank(...args: string[]): Ended {
  return runNode([main, 'bank', ...args], { cwd: folder })
}

function file(name: string, text: string | Uint8Array): string {
  writeFileSync(join(folder, name), text)
  return name
}

/** Writes both input files; returns the options that name them. */
function inputFiles(): string[] {
  return ['--accounts-file', file('a.csv', ACCOUNTS), '--transfers-file', file('o.csv', ORDERS)]
}

const timeout = 120_000

describe('lockwise bank', { timeout }, () => {
  it('runs the four strategies without arguments', () => {
    const { status, stdout, stderr } = bank()
    assert.equal(status, 0)
    assert.equal(stderr, '')
    const rows = ['unlocked │ inconsistent', 'global │ consistent', 'unordered │ deadlock']
    const plain = stdout.replaceAll(/ +/g, ' ')
    for (const row of [...rows, 'ordered │ consistent']) assert.ok(plain.includes(row), row)
    assert.match(stdout, /Deadlock: \d threads wait for each other/)
    assert.doesNotMatch(stdout, /\u001b/)
  })

  it('prints one JSON document', () => {
    const { status, stdout } = bank('--json', '--transfers', '2000', '--seed', '4')
    assert.equal(status, 0)
    const { workload, runs } = JSON.parse(stdout)
    assert.equal(workload.accounts, 6)
    assert.deepEqual(
      runs.map((run: { outcome: string }) => run.outcome),
      ['inconsistent', 'consistent', 'deadlock', 'consistent'],
    )
    for (const run of runs) {
      assert.equal(run.totalBefore, 44_500)
      assert.equal(typeof run.seconds, 'number')
      // Two cycles can close before the run has ended.
      assert.equal(run.deadlocks.length > 0, run.strategy === 'unordered')
    }
  })

  it('runs the strategies on tasks with --on tasks', () => {
    const { status, stdout } = bank('--on', 'tasks', '--json', '--transfers', '500')
    assert.equal(status, 0)
    const { workload, runs } = JSON.parse(stdout)
    assert.equal(workload.on, 'tasks')
    assert.deepEqual(
      runs.map((run: { outcome: string }) => run.outcome),
      ['inconsistent', 'consistent', 'deadlock', 'consistent'],
    )
    assert.match(bank('--on', 'tasks', '--transfers', '500').stdout, /Deadlock: \d tasks wait/)
  })

  it('carries out the orders of files, lists the refused ones, and writes the balances', () => {
    const args = inputFiles()
    const text = bank(...args, '--strategy', 'ordered', '--out', 'out.csv')
    assert.equal(text.status, 0)
    assert.match(text.stdout, /line 4: order 3, 100\.00 from A to B: the balance is too small/)
    const expected = 'account,balance\nA,7.50\nB,6.70\n"C, Ltd",0.80\n'
    assert.equal(readFileSync(join(folder, 'out.csv'), 'utf8'), expected)
    const { stdout } = bank(...args, '--strategy', 'ordered', '--json')
    assert.match(stdout, /"totalBefore": 15\.00,/)
    const [run] = JSON.parse(stdout).runs
    const refused = { line: 4, id: '3', from: 'A', to: 'B', amount: 100 }
    assert.deepEqual(run.refusedOrders, [{ ...refused, reason: 'the balance is too small' }])
  })

  it('prints the lock events with --trace', () => {
    const { stdout } = bank(
      '--trace',
      '--strategy',
      'ordered',
      '--transfers',
      '3',
      '--threads',
      '2',
    )
    const lines = stdout.split('\n').filter((line) => line.startsWith('ordered: teller'))
    assert.equal(lines.length, 12)
    assert.match(lines[0] ?? '', /^ordered: teller [12] takes account \d first$/)
  })

  it('exits with 1 when one unsafe strategy was chosen and failed', () => {
    assert.equal(bank('--strategy', 'unlocked').status, 1)
    assert.equal(bank('--strategy', 'unordered').status, 1)
    assert.equal(
      bank('--strategy', 'unordered', '--on-deadlock', 'retry', '--transfers', '3000').status,
      0,
    )
  })

  it('is the only command', () => {
    for (const args of [['bogus'], ['help', 'bogus']]) {
      const { status, stderr } = runNode([main, ...args])
      assert.equal(status, 2)
      assert.equal(stderr, "lockwise: unknown command 'bogus': --help lists the commands\n")
    }
  })

  const wrongUse: [string[], RegExp][] = [
    [['--threads', '0'], /whole number from 1/],
    [['--threads', '1.5'], /whole number/],
    [['--accounts', '1'], /whole number from 2/],
    [['--transfers', '-1'], /whole number/],
    [['--threads', '129'], /whole number from 1 to 128/],
    [['--threads', 'NaN'], /whole number/],
    [['--threads', ''], /whole number/],
    [['--accounts', '1e3'], /whole number/],
    [['--transfers', '1000000001'], /whole number/],
    [['--seed', '4294967296'], /whole number from 0 to 4294967295/],
    [['--seed', '-1'], /whole number/],
    [['--audit-every', '0.5'], /whole number/],
    [['--stripes', '0'], /whole number from 1/],
    [
      ['--strategy', 'striped', '--stripes', '7'],
      /--stripes.*at most 6, one for each account, not 7/,
    ],
    [['--strategy', 'constructor'], /Allowed choices/],
    [['--on', 'toString'], /Allowed choices/],
    [['--strategy', 'best'], /Allowed choices/],
    [['--on-deadlock', 'panic'], /Allowed choices/],
    [['--frobnicate'], /unknown option/],
    [['surplus'], /too many arguments/],
    [['--out', 'x.csv'], /--accounts-file/],
    [['--accounts-file', 'a.csv'], /both/],
    [['--accounts-file', 'a.csv', '--transfers-file', 'o.csv', '--transfers', '3'], /--transfers/],
  ]
  for (const [args, message] of wrongUse) {
    it(`exits with 2 for ${args.join(' ')}`, () => {
      const { status, stdout, stderr } = bank(...args)
      assert.equal(status, 2)
      assert.equal(stdout, '')
      assert.match(stderr, message)
      assert.match(stderr, /^lockwise: [^\n]+\n$/)
    })
  }

  const wrongAccounts: [string, string | Uint8Array, RegExp][] = [
    ['an empty file', '', /line 1: expected a header account,balance/],
    ['a missing column', 'account\nA\n', /line 1: expected a column "balance"/],
    ['a short row', 'account,balance\nA,1\nB\n', /line 3, column "balance": expected 2 fields/],
    ['a negative balance', 'account,balance\nA,-1\nB,1\n', /line 2, column "balance".*found "-1"/],
    ['not a number', 'account,balance\nA,x\nB,1\n', /line 2, column "balance"/],
    ['an exponent', 'account,balance\nA,1e2\nB,1\n', /line 2, column "balance"/],
    ['finer than a cent', 'account,balance\nA,1\nB,1.005\n', /line 3.*at most two decimals/],
    ['past the safe range', 'account,balance\nA,1\nB,90071992547409.92\n', /line 3.*up to/],
    ['a total past it', 'account,balance\nA,1\nB,90071992547409.91\n', /line 3.*together/],
    [
      'CR LF in a field',
      'account,balance\r\n\r\n"x\r\ny",1\r\nb,zz\r\n',
      /line 5, column "balance"/,
    ],
    ['mixed line ends', 'account,balance\nx,1\r\ny,2\rb,zz\n', /line 4, column "balance"/],
    ['two columns of a name', 'account,balance,balance\nA,1,2\n', /line 1, column "balance"/],
    [
      'a duplicate',
      'account,balance\nA,1\nA,1\n',
      /line 3, column "account": expected each account once, but "A" is already on line 2/,
    ],
    ['one account', 'account,balance\nA,1\n', /at least 2 accounts/],
    [
      'not UTF-8',
      Buffer.from('account,balance\nA,1\n\xffB,1\n', 'latin1'),
      /line 3, byte 1: expected UTF-8 text, but this looks like Windows-1252/,
    ],
    ['an open quote', 'account,balance\n"A,1\nB,1\n', /line 3, column 1: expected well-formed CSV/],
  ]
  for (const [what, text, message] of wrongAccounts) {
    it(`refuses accounts with ${what}`, () => refuses(text, ORDERS, message))
  }

  const wrongOrders: [string, string, RegExp][] = [
    ['an empty file', '', /line 1: expected a header id,from,to,amount/],
    ['an unknown account', 'id,from,to,amount\n1,A,Z,1\n', /line 2, column "to".*found "Z"/],
    ['payer and payee the same', 'id,from,to,amount\n1,A,A,1\n', /line 2, column "to"/],
    ['a negative amount', 'id,from,to,amount\n1,A,B,1\n2,A,B,-1\n', /line 3, column "amount"/],
    ['a control character', 'id,from,to,amount\n1,A,\u001b[2J,1\n', /found "\\u001b\[2J"/],
  ]
  for (const [what, text, message] of wrongOrders) {
    it(`refuses orders with ${what}`, () => refuses(ACCOUNTS, text, message))
  }

  function refuses(accounts: string | Uint8Array, orders: string, message: RegExp): void {
    const args = [
      '--accounts-file',
      file('a.csv', accounts),
      '--transfers-file',
      file('o.csv', orders),
    ]
    const { status, stdout, stderr } = bank(...args, '--out', 'never.csv')
    assert.equal(status, 2)
    assert.equal(stdout, '')
    assert.match(stderr, message)
    assert.match(stderr, /^lockwise: [ao]\.csv[^\n]+\n$/)
    assert.ok(!existsSync(join(folder, 'never.csv')))
  }

  it('refuses a folder, an input or a missing folder as --out', () => {
    const args = inputFiles()
    symlinkSync('loop', join(folder, 'loop'))
    const tooLong = `${'d/'.repeat(2500)}x.csv`
    const paths = ['.', 'a.csv', './o.csv', 'no/where.csv', '/dev/null', tooLong]
    for (const out of [...paths, '', 'x.csv/', 'a.csv/x', 'loop', 'loop/x', 'x'.repeat(300)]) {
      const { status, stderr } = bank(...args, '--out', out)
      assert.equal(status, 2, out)
      assert.match(stderr, /^lockwise: --out [^\n]+\n$/)
    }
    assert.equal(bank('--accounts-file', 'none.csv', '--transfers-file', 'o.csv').status, 2)
    assert.equal(readFileSync(join(folder, 'a.csv'), 'utf8'), ACCOUNTS)
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.endsWith('.tmp')),
      [],
    )
  })

  it('keeps the mode of a file that it replaces, and accepts the longest names', () => {
    const files = [file('a.csv', ACCOUNTS), file('o.csv', ORDERS)]
    const args = ['--accounts-file', 'a.csv', '--transfers-file', 'o.csv', '--strategy', 'ordered']
    assert.equal(files.length, 2)
    chmodSync(join(folder, file('private.csv', '')), 0o600)
    const longest = `${'x'.repeat(246)}.csv`
    for (const out of ['private.csv', longest]) assert.equal(bank(...args, '--out', out).status, 0)
    assert.equal(statSync(join(folder, 'private.csv')).mode & 0o777, 0o600)
    assert.match(readFileSync(join(folder, longest), 'utf8'), /^account,balance\nA,7\.50/)
  })

  it('finishes its work when its reader has gone', () => {
    file('a.csv', ACCOUNTS)
    file('o.csv', ORDERS)
    const files = '--accounts-file a.csv --transfers-file o.csv --out piped.csv'
    const command = `"$0" "$1" bank ${files} --trace | true`
    const { stderr } = runShell(command, [process.execPath, main], { cwd: folder })
    assert.equal(stderr, '')
    assert.ok(existsSync(join(folder, 'piped.csv')))
  })

  it('refuses options that only the bank can check, and names with control characters', () => {
    const { status, stderr } = bank('--strategy', 'striped', '--stripes', '8')
    assert.equal(status, 2)
    assert.match(stderr, /^lockwise: --stripes[^\n]+\n$/)
    const pause = bank('--on', 'tasks', '--no-pause')
    assert.equal(pause.status, 2)
    assert.match(pause.stderr, /^lockwise: --no-pause[^\n]+\n$/)
    assert.match(bank('--strategy', '\u001b[31mx').stderr, /\\u001b\[31mx/)
    file('a.csv', 'account,balance\nA,1\n"\u009b31m\u202eB",1\n')
    file('o.csv', 'id,from,to,amount\n1,A,"\u009b31m\u202eB",5\n')
    const { stdout } = bank('--accounts-file', 'a.csv', '--transfers-file', 'o.csv', '--json')
    assert.doesNotMatch(stdout, /[\u007f-\u009f\u202e]/)
    assert.equal(JSON.parse(stdout).runs[3].refusedOrders[0].to, '\u009b31m\u202eB')
  })

  it('shows help and version', () => {
    assert.equal(bank('--help').status, 0)
    assert.match(bank('--help').stdout, /--on-deadlock/)
    assert.equal(runNode([main, '--version']).status, 0)
    assert.equal(runNode([main, 'unheard-of']).status, 2)
  })
})
