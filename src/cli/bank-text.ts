/** The runs as text: refused orders, a table, the deadlock, and what the table says. */

import { styleText } from 'node:util'
import Table from 'cli-table3'
import { formatCents, lockName, MOST_TRACED, strategyNamed } from '../bank/index.ts'
import { deadlockText, visible } from '../explain/index.ts'
import type { FinishedRun, Workload } from './bank-workload.ts'

/** What of the options shows in the text. */
interface TextFlags {
  readonly pause: boolean
  readonly onDeadlock: 'stop' | 'retry'
  readonly on: 'threads' | 'tasks'
}

type Style = Parameters<typeof styleText>[0]

const HEAD = [
  'strategy',
  'outcome',
  'transfers',
  'refused',
  'failed audits',
  'seconds',
  'transfers/s',
  'sleeps',
]

/** Everything that stands on stdout after the runs. `unwritten` is an --out that was not written. */
export function bankText(
  workload: Workload,
  runs: readonly FinishedRun[],
  flags: TextFlags,
  unwritten: string | undefined,
): string {
  const blocks = [refusedText(runs), tableText(runs, widthOf(process.stdout))]
  for (const run of runs) {
    const [first] = run.deadlocks
    if (first) blocks.push(deadlockBlock(run, first))
  }
  blocks.push(wrap(closing(workload, runs, flags), widthOf(process.stdout)))
  if (unwritten !== undefined) {
    blocks.push(`${visible(unwritten)} was not written: the last run did not end consistent.`)
  }
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`
}

/** The locks a run took, a line each, in order. */
export function* traceText(
  run: FinishedRun,
  on: TextFlags['on'],
  names: readonly string[] | undefined,
): Generator<string> {
  const taker = on === 'tasks' ? 'task' : 'teller'
  const name = names && ((account: number) => names[account] ?? '')
  let count = 0
  for (const { teller, position, lock } of run.trace) {
    const which = position === 1 ? 'first' : 'second'
    const label = visible(lockName(run.strategy, lock, name))
    yield `${run.strategy}: ${taker} ${teller + 1} takes ${label} ${which}\n`
    count++
  }
  if (count === 0) yield `${run.strategy}: takes no locks\n`
  if (count >= MOST_TRACED) yield `${run.strategy}: the trace ends here, after ${count} locks\n`
}

function refusedText(runs: readonly FinishedRun[]): string {
  const lines: string[] = []
  for (const { strategy, refusedOrders } of runs) {
    if (refusedOrders.length === 0) continue
    lines.push(
      strong(
        `Refused by ${strategy}: ${count(refusedOrders.length)} order${refusedOrders.length === 1 ? '' : 's'}`,
      ),
    )
    for (const { line, id, from, to, amount, reason } of refusedOrders) {
      lines.push(
        `  line ${line}: order ${visible(id)}, ${formatCents(amount)} from ${visible(from)} to ` +
          `${visible(to)}: ${reason}`,
      )
    }
  }
  return lines.join('\n')
}

function tableText(runs: readonly FinishedRun[], width: number): string {
  const rows = runs.map((run) => [
    run.strategy,
    run.complete ? run.outcome : `${run.outcome}, interrupted`,
    count(run.transfers),
    count(run.refused),
    `${count(run.failedAudits)} of ${count(run.audits)}`,
    run.seconds.toFixed(3),
    count(Math.round(run.transfersPerSecond)),
    count(run.sleeps),
  ])
  const fits = (text: string): boolean => plainWidth(text.split('\n')[0] ?? '') <= width
  const wide = bordered(HEAD, rows)
  if (fits(wide)) return wide
  // Of the audits, only how many failed.
  const short = rows.map((row) => row.map((cell) => cell.replace(/ of .*/, '')))
  const tight = borderless(['strategy', 'outcome', ...HEAD.slice(2).map(twoLines)], short)
  return fits(tight) ? tight : listText(rows)
}

const ALIGNMENTS = ['left', 'left', ...HEAD.slice(2).map(() => 'right' as const)] as const

function bordered(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const table = new Table({
    head: [...head],
    colAligns: [...ALIGNMENTS],
    style: { head: [], border: [], compact: true },
  })
  table.push(...rows.map(marked))
  return table.toString()
}

/** Without lines, for a narrower terminal. */
function borderless(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const sides = ['left', 'mid', 'right', 'top', 'bottom']
  const parts = ['', 'top', 'bottom', 'left', 'right', 'mid'].flatMap((part) => [
    part,
    ...sides.map((side) => `${part}-${side}`),
  ])
  const table = new Table({
    head: [...head],
    colAligns: [...ALIGNMENTS],
    chars: Object.fromEntries([...parts, 'middle'].map((part) => [part, ''])),
    style: { head: [], border: [], compact: true, 'padding-left': 0, 'padding-right': 1 },
  })
  table.push(...rows.map(marked))
  return table.toString()
}

/** One row, with the strategy and its outcome emphasised. */
function marked([strategy = '', outcome = '', ...rest]: readonly string[]): string[] {
  const color = outcome === 'consistent' ? 'green' : 'red'
  return [strong(strategy), paint(color, outcome), ...rest]
}

function twoLines(head: string): string {
  return head === 'transfers/s' ? 'per second' : head.replace(' ', '\n')
}

/** The same as one block for each run, for terminals too narrow for the table. */
function listText(rows: readonly (readonly string[])[]): string {
  const label = Math.max(...HEAD.map((head) => head.length))
  return rows
    .map((row) => row.map((cell, i) => `${(HEAD[i] ?? '').padEnd(label)}  ${cell}`).join('\n'))
    .join('\n\n')
}

function deadlockBlock(run: FinishedRun, first: FinishedRun['deadlocks'][number]): string {
  const width = widthOf(process.stdout)
  const report = deadlockText(first, { strong, faint: (line) => paint('dim', line) })
  const text = `${strong(`${run.strategy}:`)} ${report}`
    .split('\n')
    // What is indented stays on its line, to be copied.
    .map((line) => (plainWidth(line) > width && !line.startsWith(' ') ? wrap(line, width) : line))
    .join('\n')
  const more =
    run.deadlocksBroken > 1
      ? `\n(${count(run.deadlocksBroken)} deadlocks in all; the first is shown.)`
      : ''
  return text + more
}

/** One paragraph: what each run shows, and which of the safe ones was faster. */
function closing(workload: Workload, runs: readonly FinishedRun[], flags: TextFlags): string {
  const money = (amount: number): string => (workload.files ? formatCents(amount) : count(amount))
  const sentences = runs.map((run) => sentenceFor(run, money))
  const [first, second] = runs
    .filter(
      (run) => strategyNamed(run.strategy).safe && run.outcome === 'consistent' && run.complete,
    )
    .sort((a, b) => b.transfersPerSecond - a.transfersPerSecond)
  if (first && second && second.transfersPerSecond > 0) {
    const ratio = (first.transfersPerSecond / second.transfersPerSecond).toFixed(2)
    const audits =
      workload.auditEvery === 1 ? ', with an audit of all accounts after each transfer' : ''
    sentences.push(
      `Here ${first.strategy} was ${ratio} times as fast as ${second.strategy}${audits}.`,
    )
  }
  if (flags.pause && runs.some((run) => !strategyNamed(run.strategy).safe)) {
    sentences.push(
      'The unsafe strategies give up their time slice between debit and credit at first, so that ' +
        'their fault is seen at once: their seconds are no measure of speed.',
    )
  }
  if (flags.on === 'tasks') {
    sentences.push(
      'Between debit and credit every transfer waited for a turn of the event loop, as a service ' +
        'waits for its database; a sleep is a wait for locks that lasted such a turn.',
    )
  }
  return sentences.join(' ')
}

function sentenceFor(run: FinishedRun, money: (amount: number) => string): string {
  const { strategy, totalBefore, totalAfter, failedAudits, audits, deadlocksBroken } = run
  const difference = totalAfter - totalBefore
  if (run.outcome === 'inconsistent') {
    const change =
      difference === 0
        ? 'ended with the right total'
        : difference < 0
          ? `lost ${money(-difference)}`
          : `made ${money(difference)} out of nothing`
    return (
      `The ${strategy} bank ${change} (${money(totalBefore)} before, ${money(totalAfter)} after)` +
      (audits > 0 ? `, and ${count(failedAudits)} of ${count(audits)} audits failed.` : '.')
    )
  }
  if (run.outcome === 'deadlock') {
    return `The ${strategy} bank came to a standstill after ${count(run.transfers)} transfers: a deadlock.`
  }
  const broken =
    deadlocksBroken > 0 ? `, after ${count(deadlocksBroken)} deadlocks were broken by a retry` : ''
  return `The ${strategy} bank kept its total of ${money(totalAfter)}${broken}.`
}

function widthOf(stream: NodeJS.WriteStream): number {
  if (!stream.isTTY) return Number.POSITIVE_INFINITY
  return stream.columns > 0 ? stream.columns : 80
}

function wrap(text: string, width: number): string {
  const most = Math.min(Math.max(width - 1, 20), 100)
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > most) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].join('\n')
}

function strong(text: string): string {
  return paint('bold', text)
}

/** Coloured on a terminal, unless NO_COLOR is set. */
function paint(style: Style, text: string): string {
  const plain = !process.stdout.isTTY || (process.env.NO_COLOR ?? '') !== ''
  return plain ? text : styleText(style, text)
}

function plainWidth(text: string): number {
  return text.replace(/\u001b\[[0-9;]*m/g, '').length
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}
