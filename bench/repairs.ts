/** How much does it cost a bank to record every transfer, so that a half-done one can be undone? */

import { cells } from './cells.ts'
import { compare } from './compare.ts'
import { lockwise } from './programs.ts'
import { grouped, millions, type Setting, table } from './question.ts'

export async function repairs({ size, tick }: Setting): Promise<string> {
  const programs = [lockwise('ordered', { repairs: true }), lockwise('ordered')]
  const rows: string[][] = []
  for (const cell of cells(false, size)) {
    const [noted, plain] = await compare(programs, cell, size.rounds, tick)
    rows.push([
      String(cell.threads),
      grouped(cell.accounts),
      millions(noted?.transfersPerSecond ?? 0),
      millions(plain?.transfersPerSecond ?? 0),
      (plain?.ratio ?? 0).toFixed(2),
    ])
  }
  return [
    '## The note of a bank that repairs itself',
    table(['threads', 'accounts', 'noted, M/s', 'plain, M/s', 'ratio'], rows),
    'Millions of transfers per second under `ordered`, with each transfer noted before it changes a ' +
      'balance (`repairs: true`) and without. Medians; the ratio is taken within a round.',
  ].join('\n\n')
}
