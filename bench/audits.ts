/** How long does an audit take, and how much does it slow the threads beside it? */

import { Bank, lectureBalances, type RunResult, type StrategyName } from '../src/bank/index.ts'
import { ACCOUNTS, divided, type Size, some } from './cells.ts'
import { inTurn } from './compare.ts'
import { consistentRun } from './programs.ts'
import { grouped, median, type Setting, table } from './question.ts'

const STRATEGIES: StrategyName[] = ['ordered', 'striped', 'global']
const TRANSFERS = 8_000_000
const WARMUP = 600_000
/** The time for which audits are timed. */
const AUDIT_MS = 100

/** The auditors beside the transferring thread. */
const BESIDE = {
  nothing: { auditors: 0 },
  gentle: { auditors: 1, gently: true },
  restless: { auditors: 1 },
} as const
type Beside = keyof typeof BESIDE

interface Cell {
  readonly strategy: StrategyName
  readonly accounts: number
}

export async function audits({ size, tick }: Setting): Promise<string> {
  const rows: string[][] = []
  for (const accounts of some(ACCOUNTS, size)) {
    for (const strategy of STRATEGIES) {
      rows.push(await row({ strategy, accounts }, size, tick))
    }
  }
  return [
    '## Audits',
    table(
      [
        'accounts',
        'strategy',
        'by itself, µs',
        'kept',
        'audits/s',
        'kept, no rest',
        'audits/s, no rest',
      ],
      rows,
    ),
    'The time of an audit by itself. Then one thread transfers while another audits all the time: what ' +
      'the first keeps of its speed by itself, and the audits of the second; with gentle audits, which ' +
      'rest four times as long as they work, and with audits that never rest. `ordered` takes all ' +
      'locks at once up to 64 of them, and goes from account to account beyond; `striped` (64 locks) ' +
      'and `global` (one) take all locks at once. Medians; each share is taken within a round.',
  ].join('\n\n')
}

async function row(cell: Cell, size: Size, tick: () => void): Promise<string[]> {
  const microseconds: number[] = []
  const runs: Record<Beside, RunResult[]> = { nothing: [], gentle: [], restless: [] }
  for (let round = 0; round < size.rounds; round++) {
    microseconds.push(timeAudit(cell, AUDIT_MS / size.divisor))
    for (const beside of inTurn(Object.keys(BESIDE) as Beside[], round)) {
      runs[beside].push(await transfers(cell, beside, size, round + 1))
      tick()
    }
  }
  const kept = (beside: Beside): string =>
    `${Math.round(
      100 *
        median(
          runs[beside].map(
            (run, i) => run.transfersPerSecond / (runs.nothing[i]?.transfersPerSecond ?? 0),
          ),
        ),
    )} %`
  const perSecond = (beside: Beside): string =>
    grouped(median(runs[beside].map((run) => run.audits / run.seconds)))
  return [
    grouped(cell.accounts),
    cell.strategy,
    median(microseconds).toFixed(1),
    kept('gentle'),
    perSecond('gentle'),
    kept('restless'),
    perSecond('restless'),
  ]
}

function timeAudit({ strategy, accounts }: Cell, forMs: number): number {
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

function transfers(
  { strategy, accounts }: Cell,
  beside: Beside,
  size: Size,
  seed: number,
): Promise<RunResult> {
  return consistentRun({
    strategy,
    balances: lectureBalances(accounts),
    threads: 1,
    ...BESIDE[beside],
    generate: { seed, transfers: divided(TRANSFERS, size) },
    warmup: divided(WARMUP, size),
  })
}
