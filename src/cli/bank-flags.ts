/** The options of `lockwise bank`: parsers, and checks of their combinations. */

import { type Command, InvalidArgumentError, Option } from 'commander'
import {
  LECTURE_BALANCES,
  LECTURE_THREADS,
  LECTURE_TRANSFERS,
  type StrategyName,
  strategyNames,
} from '../bank/index.ts'
import { AUDIT_FILES_EVERY, type Workload } from './bank-workload.ts'
import { checkOutput } from './csv-output.ts'
import { InputError } from './errors.ts'

/** The options as commander passes them. */
export interface BankFlags {
  readonly strategy: StrategyName | 'tour'
  readonly on: 'threads' | 'tasks'
  readonly threads: number
  readonly accounts?: number
  readonly transfers?: number
  readonly auditEvery?: number
  readonly seed?: number
  readonly stripes?: number
  readonly pause: boolean
  readonly trace?: true
  readonly onDeadlock: 'stop' | 'retry'
  readonly json?: true
  readonly accountsFile?: string
  readonly transfersFile?: string
  readonly out?: string
}

/** The number of transfers at the beginning of a run that give up the time slice to show a fault. */
export const SLOW_TRANSFERS = 2000
const MAX_COUNT = 1_000_000_000

/** Adds the options that select the work. */
export function addWorkloadOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--strategy <name>', 'how transfers take locks')
        .choices(['tour', ...strategyNames])
        .default('tour'),
    )
    .addOption(
      new Option(
        '--on <what>',
        'worker threads on shared memory, or asynchronous tasks on one event loop, which wait between ' +
          'debit and credit as a service waits for its database',
      )
        .choices(['threads', 'tasks'])
        .default('threads'),
    )
    .option('--threads <n>', 'threads, or tasks, that transfer', whole(1, 128), LECTURE_THREADS)
    .option(
      '--accounts <n>',
      `accounts (default: ${LECTURE_BALANCES.length})`,
      whole(2, 10_000_000),
    )
    .option(
      '--transfers <n>',
      `transfers of each thread (default: ${LECTURE_TRANSFERS})`,
      whole(0, MAX_COUNT),
    )
    .option(
      '--audit-every <n>',
      'audit after every n transfers of a thread, 0: never; audits of many accounts take longer than ' +
        `many transfers (default: 1; with files ${AUDIT_FILES_EVERY})`,
      whole(0, MAX_COUNT),
    )
    .option(
      '--seed <n>',
      'the same seed gives each thread the same transfers (default: 1)',
      whole(0, 2 ** 32 - 1),
    )
    .option(
      '--stripes <n>',
      'locks of the striped bank (default: 64, or one for each account)',
      whole(1, 1_000_000),
    )
}

/** Adds the options for how to run it, and for its input and output files. */
export function addRunOptions(command: Command): Command {
  return command
    .option(
      '--no-pause',
      'of threads: never wait between debit and credit; by default unlocked and unordered do so in ' +
        `their first ${SLOW_TRANSFERS} transfers, so that their fault is seen at once`,
    )
    .option('--trace', 'print which thread takes which lock first and second')
    .addOption(
      new Option(
        '--on-deadlock <what>',
        'after a deadlock: end the run, or let the victim try again',
      )
        .choices(['stop', 'retry'])
        .default('stop'),
    )
    .option('--json', 'print one JSON document')
    .option('--accounts-file <csv>', 'accounts to open: account,balance')
    .option('--transfers-file <csv>', 'orders to carry out once each: id,from,to,amount')
    .option('--out <csv>', 'write the balances after the last run there')
}

/** Checks `--out`. Returns the path for the balances; `undefined` without the option. */
export function checkOut({ out }: BankFlags, { files }: Workload): string | undefined {
  if (out === undefined) return undefined
  if (!files) throw new InputError('--out needs --accounts-file and --transfers-file')
  return checkOutput(out, [files.accountsFile, files.transfersFile])
}

/** Refuses more stripes than accounts. */
export function checkStripes({ strategy, stripes = 0 }: BankFlags, { balances }: Workload): void {
  if (strategy !== 'striped' || stripes <= balances.length) return
  throw new InputError(
    `--stripes: expected at most ${balances.length}, one for each account, not ${stripes}`,
  )
}

/** Refuses `--no-pause` for tasks, which always wait. */
export function checkPause({ pause, on }: BankFlags): void {
  if (pause || on === 'threads') return
  throw new InputError('--no-pause needs --on threads: tasks always wait between debit and credit')
}

/** Makes a parser for a whole number in a range. */
function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    throw new InvalidArgumentError(`Expected a whole number from ${least} to ${most}.`)
  }
}
