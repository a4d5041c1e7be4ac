/** How fast are ordered transfers, compared with the same program in C++, Rust, Java and Python? */

import { type Cell, cells, divided } from './cells.ts'
import { type Compared, compare } from './compare.ts'
import { cold, lockwise, native } from './programs.ts'
import { grouped, millions, type Setting, table } from './question.ts'

const OTHERS = [
  'cpp-scoped_lock',
  'cpp-ordered',
  'rust-ordered',
  'rust-parking_lot',
  'cpp-futex',
  'java-ordered',
  'python-ordered',
]

/** The number of transfers of each thread when lockwise is measured cold. */
const COLD = 100_000

/** Measures the nine cells, without and with audits: lockwise first, the others as ratios. */
export async function languages({ size, native: find, tick }: Setting): Promise<string> {
  const others = find(...OTHERS)
  const own = lockwise('ordered')
  const first = divided(COLD, size)
  const programs = [own, cold(own, first), ...others.map((built) => native(built))]
  const head = [
    ...['threads', 'accounts', 'lockwise, M/s', 'cold, M/s', 'slept'],
    ...others.map(({ id }) => id),
  ]
  const blocks: string[] = []
  for (const audits of [false, true]) {
    const rows: string[][] = []
    for (const cell of cells(audits, size)) {
      rows.push(rowOf(cell, await compare(programs, cell, size.rounds, tick)))
    }
    blocks.push(
      `## Beside other languages, ${audits ? 'with' : 'without'} audits`,
      table(head, rows),
    )
  }
  blocks.push(
    'Millions of transfers per second under `ordered`, in steady state: tens of millions of transfers, ' +
      'after a warm-up that compiled the code. Beside it lockwise cold: the first ' +
      `${grouped(first)} transfers of each thread, while its code is still being ` +
      'compiled. Then how often a thread slept because a lock was ' +
      'busy, and how many times as fast lockwise was as each of the others (above 1: lockwise is ' +
      "faster), with the other's own millions per second in brackets. Medians; the ratios are taken " +
      'within a round, where the programs ran one after the other. With audits each thread audits ' +
      'after every 1,000 of its transfers, of 65,536 accounts after every 50,000. `scoped_lock` and ' +
      '`ordered` are `std::mutex`; `futex` is a mutex of one word and two system calls; ' +
      '`python-ordered` makes a fortieth of the transfers.',
  )
  return blocks.join('\n\n')
}

function rowOf(cell: Cell, compared: readonly Compared[]): string[] {
  const [own, first, ...others] = compared
  return [
    String(cell.threads),
    grouped(cell.accounts),
    millions(own?.transfersPerSecond ?? 0),
    millions(first?.transfersPerSecond ?? 0),
    grouped(own?.sleeps ?? 0),
    ...others.map((other) => `${other.ratio.toFixed(2)} (${millions(other.transfersPerSecond)})`),
  ]
}
