/**
 * Measures the bank beside the same program in other languages and writes bench/RESULTS.md.
 *
 * `--small` runs a little of everything and writes nothing; `--rounds N` changes how often each
 * program runs in each cell; `--only native|lecture|audit` measures one question and prints it.
 */

import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { lectureBalances, runBank, type StrategyName } from '../src/bank/index.ts'
import { type Cell, cells, FULL, LECTURE, type Size, SMALL } from './cells.ts'
import { type Compared, compare } from './compare.ts'
import { lockwise, median, type Native, native, type Program } from './programs.ts'

const { values } = parseArgs({
  options: {
    small: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string' },
  },
})
const base: Size = values.small ? SMALL : FULL
const size: Size = values.rounds === undefined ? base : { ...base, rounds: Number(values.rounds) }

const builder = new URL('../../bench/native/build.mjs', import.meta.url).href
const { buildNative } = (await import(builder)) as { buildNative: () => Promise<Native> }
const built = await buildNative()
const find = (id: string): Native['programs'] => built.programs.filter((found) => found.id === id)

const QUESTIONS = { native: nativeTables, lecture: lectureTable, audit: auditTable }
const blocks: string[] = []
for (const [name, question] of Object.entries(QUESTIONS)) {
  if (values.only === undefined || values.only === name) blocks.push(await question())
}
const text = `${[header(), ...blocks].join('\n\n')}\n`
process.stdout.write(text)
if (!values.small && values.only === undefined) {
  writeFileSync(new URL('../../bench/RESULTS.md', import.meta.url), text)
}

/** The nine cells, without and with audits: lockwise first, the others as ratios. */
async function nativeTables(): Promise<string> {
  const ids = ['cpp-scoped_lock', 'cpp-ordered', 'rust-ordered', 'rust-parking_lot', 'cpp-futex']
  const programs = [
    lockwise('ordered'),
    ...[...ids, 'java-ordered', 'python-ordered'].flatMap(find).map((found) => native(found)),
  ]
  const tables: string[] = []
  for (const audits of [false, true]) {
    const rows: string[][] = []
    for (const cell of cells(audits, size)) {
      const compared = await compare(programs, cell, size, () => tick('native'))
      rows.push(rowOf(cell, compared))
    }
    const others = programs.slice(1).map(({ id }) => id)
    tables.push(
      `## ${audits ? 'With audits' : 'Without audits'}`,
      table(['threads', 'accounts', 'lockwise, M/s', 'slept', ...others], rows),
    )
  }
  tables.push(
    'Millions of transfers per second under `ordered`, how often a thread slept because a lock was ' +
      'busy, and how many times as fast lockwise was as each of the others (above 1: lockwise is ' +
      "faster), with the other's own millions per second in brackets. Medians, and medians of the " +
      'ratios within a round. With audits each thread audits after every 1,000 of its transfers, of ' +
      '65,536 accounts after every 50,000. `scoped_lock` and `ordered` are `std::mutex`, `futex` is the ' +
      'least that Linux allows, `python-ordered` runs a twentieth of the transfers.',
  )
  return tables.join('\n\n')
}

function rowOf(cell: Cell, compared: readonly Compared[]): string[] {
  const [own, ...others] = compared
  return [
    String(cell.threads),
    cell.accounts.toLocaleString('en-US'),
    millions(own?.transfersPerSecond ?? 0),
    String(Math.round(own?.sleeps ?? 0)),
    ...others.map((other) => `${other.ratio.toFixed(2)} (${millions(other.transfersPerSecond)})`),
  ]
}

/** The lecture's workload, beside Python. */
async function lectureTable(): Promise<string> {
  const rows: string[][] = []
  for (const strategy of ['global', 'ordered'] as const) {
    const [python] = find(`python-${strategy}`)
    const programs: Program[] = [
      lockwise(strategy),
      ...(python ? [native(python, ['--yield']), native(python)] : []),
    ]
    const rounds = values.small ? 1 : size.rounds
    const sizeHere = { ...size, rounds }
    for (const warmup of values.small ? [0] : [0, 50_000]) {
      const only = warmup > 0 ? programs.filter((program) => program.slower === 1) : programs
      const compared = await compare(only, { ...LECTURE, warmup }, sizeHere, () => tick('lecture'))
      for (const { program, seconds, ratio, sleeps } of compared) {
        const name = warmup > 0 ? `${program.id}, compiled before` : program.id
        const times = program.slower === 1 ? '' : ratio.toFixed(1)
        rows.push([name, (1000 * seconds).toFixed(1), String(Math.round(sleeps)), times])
      }
    }
  }
  return [
    "## The lecture's workload",
    table(['program', 'ms', 'slept', 'lockwise is faster, times'], rows),
    'Five threads, six accounts, 10,000 transfers each, an audit after every transfer; timed inside, ' +
      'without starting threads. lockwise is timed from its first transfer, while its code is still ' +
      'being compiled, and once more after 50,000 transfers of each thread. `--yield` gives up the time ' +
      "slice between debit and credit, as the lecture's program does; Python's transfers are drawn before " +
      'the clock starts.',
  ].join('\n\n')
}

/** One thread transfers, another audits without pause: how much of its speed does the first keep? */
async function auditTable(): Promise<string> {
  const strategies: StrategyName[] = ['ordered', 'striped', 'global']
  const rows: string[][] = []
  for (const accounts of [6, 1024, 65_536]) {
    for (const strategy of strategies) {
      const kept: number[] = []
      const audits: number[] = []
      for (let round = 0; round < size.rounds; round++) {
        const alone = await besideAudit(strategy, accounts, 0, round)
        const beside = await besideAudit(strategy, accounts, 1, round)
        kept.push(beside.transfersPerSecond / alone.transfersPerSecond)
        audits.push(beside.audits / beside.seconds)
        tick('audit')
      }
      const share = `${Math.round(100 * median(kept))} %`
      const count = accounts.toLocaleString('en-US')
      rows.push([count, strategy, share, Math.round(median(audits)).toLocaleString('en-US')])
    }
  }
  return [
    '## Beside a thread that audits without pause',
    table(['accounts', 'strategy', 'speed kept', 'audits/s'], rows),
    'One thread transfers; its speed with an auditor beside it, as a share of its speed alone.',
  ].join('\n\n')
}

async function besideAudit(
  strategy: StrategyName,
  accounts: number,
  auditors: number,
  round: number,
): Promise<{ transfersPerSecond: number; audits: number; seconds: number }> {
  const result = await runBank({
    strategy,
    balances: lectureBalances(accounts),
    threads: 1,
    auditors,
    generate: { seed: round + 1, transfers: Math.ceil(4_000_000 / size.divisor) },
    warmup: Math.ceil(400_000 / size.divisor),
  })
  if (result.outcome !== 'consistent') throw new Error(`${strategy}: ${result.outcome}`)
  return result
}

function header(): string {
  const [processor] = cpus()
  const versions = new Set([
    `Node.js ${process.version}`,
    ...built.programs.map(({ version }) => version),
  ])
  const missing = built.leftOut.map(({ id, reason }) => `\nLeft out: ${id} (${reason}).`)
  return [
    '# Results',
    `Made by \`npm run bench\` on ${processor?.model ?? 'an unknown processor'}, ${cpus().length} cores, ` +
      `${process.platform} ${process.arch}; ${[...versions].join('; ')}. ${size.rounds} rounds, the ` +
      `programs in turn within each.${missing.join('')}`,
  ].join('\n\n')
}

/** A table in Markdown, its columns aligned. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((cell, i) =>
    Math.max(cell.length, ...rows.map((row) => row[i]?.length ?? 0)),
  )
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(' | ')} |`
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
  return [line(head), line(rule), ...rows.map(line)].join('\n')
}

function millions(perSecond: number): string {
  return (perSecond / 1e6).toFixed(1)
}

let ticks = 0

/** A sign of life on a terminal. */
function tick(what: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${what}: ${++ticks} runs`)
}
