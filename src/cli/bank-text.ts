/** Formats the runs as text: refused orders, a table, the deadlock, and a summary of the table. */

import { formatCents, lockName, MAX_TRACED, strategyNamed } from '../bank/index.ts'
import { deadlockText, visible } from '../explain/index.ts'
import { tableText } from './bank-table.ts'
import type { FinishedRun, Workload } from './bank-workload.ts'
import { count, paint, plainWidth, strong, widthOf, wrap } from './terminal.ts'

/** The options that affect the text. */
interface TextFlags {
  readonly pause: boolean
  readonly onDeadlock: 'stop' | 'retry'
  readonly on: 'threads' | 'tasks'
}

/** Returns the output on stdout after the runs. `unwritten` is an --out file that was not written. */
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

/** The locks that a run took, a line each, in order. */
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
  if (count >= MAX_TRACED) yield `${run.strategy}: the trace ends here, after ${count} locks\n`
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

function deadlockBlock(run: FinishedRun, first: FinishedRun['deadlocks'][number]): string {
  const width = widthOf(process.stdout)
  const report = deadlockText(first, { strong, faint: (line) => paint('dim', line) })
  const text = `${strong(`${run.strategy}:`)} ${report}`
    .split('\n')
    // Indented lines are not wrapped, so that they can be copied.
    .map((line) => (plainWidth(line) > width && !line.startsWith(' ') ? wrap(line, width) : line))
    .join('\n')
  const more =
    run.deadlocksBroken > 1
      ? `\n(${count(run.deadlocksBroken)} deadlocks in all; the first is shown.)`
      : ''
  return text + more
}

/** One paragraph: the finding of each run, and which of the safe strategies was faster. */
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
