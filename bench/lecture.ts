/** How long does the lecture's own workload take, compared with the lecture's program in Python? */

import { lectureCell } from './cells.ts'
import { compare } from './compare.ts'
import { cold, lockwise, native } from './programs.ts'
import { grouped, type Setting, table } from './question.ts'

/** The number of transfers of each thread before the clock starts, when lockwise is measured compiled. */
const WARMUP = 50_000

export async function lecture({ size, native: find, tick }: Setting): Promise<string> {
  const rows: string[][] = []
  for (const strategy of ['global', 'ordered'] as const) {
    for (const built of find(`python-${strategy}`)) {
      for (const options of [['--yield'], []]) {
        const programs = [native(built, options), cold(lockwise(strategy)), lockwise(strategy)]
        const cell = lectureCell(size, WARMUP)
        const compared = await compare(programs, cell, size.rounds, tick)
        const [python, ...own] = compared
        rows.push([
          python?.program.id ?? '',
          ms(python?.seconds),
          ...own.flatMap(({ seconds, ratio }) => [ms(seconds), (1 / ratio).toFixed(1)]),
        ])
      }
    }
  }
  const head = ['program', 'ms', 'lockwise, ms', 'faster, times', 'compiled, ms', 'faster, times']
  return [
    "## The lecture's workload",
    table(head, rows),
    'Five threads, six accounts, 10,000 transfers each, an audit after every transfer; timed inside, ' +
      'without starting threads. lockwise, under the same strategy, is timed from its first transfer, ' +
      `while its code is still being compiled, and once more after ${grouped(WARMUP)} transfers of each ` +
      'thread. `--yield` gives up the time slice between debit and credit, as the lecture’s program ' +
      'does; Python’s transfers are drawn before the clock starts.',
  ].join('\n\n')
}

function ms(seconds = Number.NaN): string {
  return (1000 * seconds).toFixed(1)
}
