/** How long does an audit take, and what does it cost the threads beside it? */

import {
  Bank,
  lectureBalances,
  type RunResult,
  runBank,
  type StrategyName,
} from '../src/bank/index.ts'
import { ACCOUNTS, divided, some } from './cells.ts'
import { grouped, median, type Setting, table } from './question.ts'

const STRATEGIES: StrategyName[] = ['ordered', 'striped', 'global']
const TRANSFERS = 2_000_000
const WARMUP = 400_000
/** Audits are timed for this long. */
const AUDIT_MS = 100

export async function audits({ size, tick }: Setting): Promise<string> {
  const rows: string[][] = []
  for (const accounts of some(ACCOUNTS, size)) {
    for (const strategy of STRATEGIES) {
      const microseconds: number[] = []
      const kept: number[] = []
      const perSecond: number[] = []
      for (let round = 1; round <= size.rounds; round++) {
        const transfers = divided(TRANSFERS, size)
        const options = { strategy, accounts, transfers, warmup: divided(WARMUP, size), round }
        microseconds.push(timeAudit(strategy, accounts, AUDIT_MS / size.divisor))
        const alone = await transferBeside(0, options)
        const beside = await transferBeside(1, options)
        kept.push(beside.transfersPerSecond / alone.transfersPerSecond)
        perSecond.push(beside.audits / beside.seconds)
        tick()
      }
      rows.push([
        grouped(accounts),
        strategy,
        median(microseconds).toFixed(1),
        `${Math.round(100 * median(kept))} %`,
        grouped(median(perSecond)),
      ])
    }
  }
  return [
    '## Audits',
    table(['accounts', 'strategy', 'an audit alone, µs', 'speed kept', 'audits/s'], rows),
    'An audit by itself; then one thread transfers while another audits without pause: the speed of ' +
      'the first as a share of its speed alone, and the audits of the second. `ordered` takes all ' +
      'locks at once up to 64 of them, and goes from account to account beyond; `striped` (64 locks) ' +
      'and `global` (one) take all locks at once.',
  ].join('\n\n')
}

function timeAudit(strategy: StrategyName, accounts: number, forMs: number): number {
  const bank = Bank.create({ strategy, balances: lectureBalances(accounts) })
  const until = performance.now() + forMs
  for (let warm = performance.now(); warm < until; warm = performance.now()) bank.audit()
  const start = performance.now()
  let count = 0
  let end = start
  while (end < start + forMs) {
    bank.audit()
    count++
    end = performance.now()
  }
  return (1000 * (end - start)) / Math.max(1, count)
}

async function transferBeside(
  auditors: number,
  cell: {
    strategy: StrategyName
    accounts: number
    transfers: number
    warmup: number
    round: number
  },
): Promise<RunResult> {
  const { strategy, accounts, transfers, warmup, round } = cell
  const result = await runBank({
    strategy,
    balances: lectureBalances(accounts),
    threads: 1,
    auditors,
    generate: { seed: round, transfers },
    warmup,
  })
  if (result.outcome !== 'consistent') throw new Error(`${strategy}: ${result.outcome}`)
  return result
}
