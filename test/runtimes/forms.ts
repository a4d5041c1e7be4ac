/** The table of the forms of awaiting: a row for each form, a column for each runtime. */

import type { Verdict } from '../programs/forms.ts'
import { type Ended, run } from '../spawn.ts'

/** A column: what the detector learns of each form, by the form's name. */
export interface Column {
  readonly runtime: string
  readonly verdicts: Readonly<Record<string, Verdict>>
}

/** Versions of Node whose columns are shown. */
export const NODES: readonly string[] = ['20', '22', '24', '26']

/** The column of a runtime from npm. `command` runs a file, and prints its version with `--version`. */
export function columnOf(
  name: string,
  npm: string,
  command: string,
  root: string,
): Column | string {
  const npx = (line: string): Ended =>
    run('npx', ['--yes', `--package=${npm}`, '-c', line], { cwd: root, env: { NO_COLOR: '1' } })
  const version = /[\d.]+/.exec(npx(`${command.split(' ')[0]} --version`).stdout)?.[0]
  if (version === undefined) return `${name}: LEFT OUT, npm could not give it`
  const { stdout, stderr } = npx(`${command} ./dist/test/runtimes/verdicts.js`)
  try {
    return { runtime: `${name} ${version}`, verdicts: JSON.parse(stdout) }
  } catch {
    return `${name}: ${stderr.slice(-300)}`
  }
}

/** The table, aligned. `columns[0]` defines the forms. */
export function tableOf(columns: readonly Column[]): string {
  const names = Object.keys(columns[0]?.verdicts ?? {})
  const rows = [
    ['form', ...columns.map(({ runtime }) => runtime)],
    ...names.map((name) => [name, ...columns.map(({ verdicts }) => verdicts[name] ?? '?')]),
  ]
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
