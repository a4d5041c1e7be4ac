/** Formats the runs as a table that fits the terminal's width. */

import Table from 'cli-table3'
import type { FinishedRun } from './bank-workload.ts'
import { count, paint, plainWidth, strong } from './terminal.ts'

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
const ALIGNMENTS = ['left', 'left', ...HEAD.slice(2).map(() => 'right' as const)] as const

/** Returns the first form that fits: with borders, without borders, or as a list. */
export function tableText(runs: readonly FinishedRun[], width: number): string {
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
  // Leaves out the number of all audits, and keeps the number of failed ones.
  const short = rows.map((row) => row.map((cell) => cell.replace(/ of .*/, '')))
  const tight = borderless(['strategy', 'outcome', ...HEAD.slice(2).map(twoLines)], short)
  return fits(tight) ? tight : listText(rows)
}

function bordered(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const table = new Table({
    head: [...head],
    colAligns: [...ALIGNMENTS],
    style: { head: [], border: [], compact: true },
  })
  table.push(...rows.map(marked))
  return table.toString()
}

/** A table without lines, for a narrower terminal. */
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

/** Emphasises the strategy and its outcome in a row. */
function marked([strategy = '', outcome = '', ...rest]: readonly string[]): string[] {
  const color = outcome === 'consistent' ? 'green' : 'red'
  return [strong(strategy), paint(color, outcome), ...rest]
}

function twoLines(head: string): string {
  return head === 'transfers/s' ? 'per second' : head.replace(' ', '\n')
}

/** One block for each run, for terminals too narrow for a table. */
function listText(rows: readonly (readonly string[])[]): string {
  const label = Math.max(...HEAD.map((head) => head.length))
  return rows
    .map((row) => row.map((cell, i) => `${(HEAD[i] ?? '').padEnd(label)}  ${cell}`).join('\n'))
    .join('\n\n')
}
