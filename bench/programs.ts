/** The compared programs: lockwise itself, and those that bench/native could build here. */

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import {
  lectureBalances,
  type RunOptions,
  type RunResult,
  runBank,
  type StrategyName,
} from '../src/bank/index.ts'
import type { Cell } from './cells.ts'

/** The measurements of one run of a program. */
export interface Measured {
  readonly transfersPerSecond: number
  readonly seconds: number
  /** The number of times that a thread slept: for lockwise on a lock, for the others for any reason. */
  readonly sleeps: number
}

/** A program that can run in a cell. */
export interface Program {
  readonly id: string
  /** The divisor of the number of transfers, for a program that is too slow for all. */
  readonly slower: number
  readonly run: (cell: Cell, seed: number) => Promise<Measured>
}

/** The result of bench/native/build.mjs. */
export interface Native {
  readonly programs: readonly {
    readonly id: string
    readonly command: string[]
    readonly version: string
  }[]
  readonly leftOut: readonly { readonly id: string; readonly reason: string }[]
}

const run = promisify(execFile)

/** Returns lockwise under a strategy, in this process; its threads are new in every run. */
export function lockwise(
  strategy: StrategyName,
  options: Pick<RunOptions, 'repairs'> = {},
): Program {
  return {
    id: `lockwise ${strategy}`,
    slower: 1,
    run: (cell, seed) =>
      consistentRun({
        strategy,
        balances: lectureBalances(cell.accounts),
        threads: cell.threads,
        generate: { seed, transfers: cell.transfers / cell.threads },
        auditEvery: cell.auditEvery,
        warmup: cell.warmup,
        ...options,
      }),
  }
}

/** Runs the bank, and throws unless it ends consistent. */
export async function consistentRun(options: RunOptions): Promise<RunResult> {
  const result = await runBank(options)
  if (result.outcome !== 'consistent') throw new Error(`${result.strategy}: ${result.outcome}`)
  return result
}

/** Returns a program of bench/native; `options` are added to its command line. */
export function native(
  built: Native['programs'][number],
  options: readonly string[] = [],
): Program {
  const slower = built.id.startsWith('python') ? 40 : 1
  return {
    id: [built.id, ...options].join(' '),
    slower,
    async run(cell, seed) {
      const [program = '', ...first] = built.command
      const numbers = {
        threads: cell.threads,
        accounts: cell.accounts,
        transfers: Math.ceil(cell.transfers / cell.threads),
        'audit-every': cell.auditEvery,
        seed,
        warmup: cell.warmup,
      }
      const flags = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, String(value)])
      const { stdout } = await run(program, [...first, ...flags, ...options])
      const result = JSON.parse(stdout)
      if (result.failedAudits !== 0 || result.totalAfter !== result.totalBefore) {
        throw new Error(`${built.id} is inconsistent: ${stdout}`)
      }
      return result
    },
  }
}

/** Returns a program without its warm-up; `each` limits the transfers of each thread. */
export function cold(program: Program, each?: number): Program {
  const run: Program['run'] = (cell, seed) => {
    const transfers = each === undefined ? cell.transfers : each * cell.threads
    return program.run({ ...cell, transfers, warmup: 0 }, seed)
  }
  return { ...program, run }
}

/** Returns the cell for a program. A slow program gets no warm-up, and fewer transfers if there are many. */
export function cellFor({ slower }: Program, cell: Cell): Cell {
  if (slower === 1) return cell
  const transfers = cell.transfers > 100_000 ? cell.transfers / slower : cell.transfers
  return { ...cell, transfers: Math.ceil(transfers / cell.threads) * cell.threads, warmup: 0 }
}
