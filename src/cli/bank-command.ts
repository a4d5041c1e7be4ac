/** `lockwise bank`: options, then runs, then text or JSON. */

import { Command, InvalidArgumentError, Option } from 'commander'
import {
  breaksPromise,
  LECTURE_BALANCES,
  LECTURE_THREADS,
  LECTURE_TRANSFERS,
  type RunOptions,
  runBank,
  runBankOnTasks,
  type StrategyName,
  strategyNamed,
  strategyNames,
  tour,
} from '../bank/index.ts'
import { bankJson } from './bank-json.ts'
import { bankText, traceText } from './bank-text.ts'
import {
  AUDIT_FILES_EVERY,
  type FinishedRun,
  readWorkload,
  refusedOf,
  type Workload,
} from './bank-workload.ts'
import { checkOutput, writeBalances } from './csv-output.ts'
import { EXIT, InputError } from './errors.ts'
import { startProgress } from './progress.ts'

/** The options as commander hands them over. */
interface BankFlags {
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

/** Transfers at the beginning of a run that give up the time slice, where a fault is to be shown. */
const SLOW_TRANSFERS = 2000
const MOST = 1_000_000_000

/** The subcommand; `exit` is told the exit status. */
export function bankCommand(exit: (status: number) => void): Command {
  return new Command('bank')
    .description(
      'Run the bank: accounts, threads that transfer between them, audits that must find the same ' +
        'total. Without options: a tour through four strategies with five threads, six accounts, ' +
        '10,000 transfers each and an audit after every one. Files are CSV with a header; amounts ' +
        'have at most two decimals and no sign. The transfers that a table counts are those ' +
        'carried out and those refused.',
    )
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
      whole(0, MOST),
    )
    .option(
      '--audit-every <n>',
      'audit after every n transfers of a thread, 0: never; audits of many accounts take longer than ' +
        `many transfers (default: 1; with files ${AUDIT_FILES_EVERY})`,
      whole(0, MOST),
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
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .action(async (flags: BankFlags) => exit(await runCommand(flags)))
}

async function runCommand(flags: BankFlags): Promise<number> {
  checkPause(flags)
  const workload = readWorkload(flags)
  checkStripes(flags, workload)
  const out = checkOut(flags, workload)
  const interrupt = new AbortController()
  const stop = (): void => {
    if (interrupt.signal.aborted) process.exit(EXIT.interrupted)
    interrupt.abort()
  }
  process.on('SIGINT', stop).on('SIGTERM', stop)
  const runs: FinishedRun[] = []
  try {
    for (const strategy of flags.strategy === 'tour' ? tour : [flags.strategy]) {
      if (interrupt.signal.aborted) break
      const run = await runOnce(strategy, flags, workload, interrupt.signal)
      runs.push(run)
      if (flags.trace) printTrace(run, flags, workload)
    }
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop)
  }
  const last = runs.at(-1)
  const sound = last?.complete === true && last.outcome === 'consistent'
  let isWritten = false
  let failure: unknown
  try {
    if (out !== undefined && last && sound && !interrupt.signal.aborted) {
      writeBalances(out, workload.files?.accounts.names ?? [], last.balances)
      isWritten = true
    }
  } catch (error) {
    // What came of the run is told all the same.
    failure = error
  }
  const unwritten = isWritten || failure !== undefined ? undefined : flags.out
  process.stdout.write(
    flags.json
      ? bankJson(workload, runs)
      : bankText(workload, runs, { ...flags, pause: isSlow(flags) }, unwritten),
  )
  if (failure !== undefined) throw failure
  if (interrupt.signal.aborted) {
    const done = last
      ? `${last.transfers} of ${workload.transfers} transfers of ${last.strategy}`
      : 'nothing'
    process.stderr.write(`lockwise: interrupted after ${done}\n`)
    return EXIT.interrupted
  }
  return status(flags, runs)
}

/** Whether unsafe strategies wait in their first transfers; tasks do in all. */
function isSlow({ pause, on }: BankFlags): boolean {
  return pause && on === 'threads'
}

/** 1 when a safe strategy failed, or the one unsafe strategy that was asked for. */
function status(flags: BankFlags, runs: readonly FinishedRun[]): number {
  const asked = flags.strategy !== 'tour'
  const broken = runs.some((run) => breaksPromise(run) || (asked && run.outcome !== 'consistent'))
  return broken ? EXIT.broken : EXIT.done
}

async function runOnce(
  strategy: StrategyName,
  flags: BankFlags,
  workload: Workload,
  signal: AbortSignal,
): Promise<FinishedRun> {
  const { files, balances, threads, auditEvery, seed, transfers } = workload
  const progress = startProgress(strategy, transfers)
  files?.orders.orders.outcomes.fill(0)
  const options: RunOptions = {
    strategy,
    balances,
    threads,
    auditEvery,
    onDeadlock: flags.onDeadlock,
    slowTransfers: isSlow(flags) && !strategyNamed(strategy).safe ? SLOW_TRANSFERS : 0,
    trace: flags.trace === true,
    onProgress: progress.update,
    signal,
    ...(files
      ? { orders: files.orders.orders, accountName: (i: number) => files.accounts.names[i] ?? '' }
      : { generate: { seed, transfers: transfers / threads } }),
    ...(flags.stripes === undefined ? {} : { stripes: flags.stripes }),
  }
  try {
    const result = await (flags.on === 'tasks' ? runBankOnTasks(options) : runBank(options))
    return { ...result, refusedOrders: files ? refusedOf(workload) : [] }
  } finally {
    progress.end()
  }
}

function printTrace(run: FinishedRun, flags: BankFlags, { files }: Workload): void {
  const stream = flags.json ? process.stderr : process.stdout
  for (const text of traceText(run, flags.on, files?.accounts.names)) stream.write(text)
}

function checkOut({ out }: BankFlags, { files }: Workload): string | undefined {
  if (out === undefined) return undefined
  if (!files) throw new InputError('--out goes with --accounts-file and --transfers-file')
  return checkOutput(out, [files.accountsFile, files.transfersFile])
}

function checkStripes({ strategy, stripes = 0 }: BankFlags, { balances }: Workload): void {
  if (strategy !== 'striped' || stripes <= balances.length) return
  throw new InputError(`--stripes: expected at most one for each of ${balances.length} accounts`)
}

function checkPause({ pause, on }: BankFlags): void {
  if (pause || on === 'threads') return
  throw new InputError(
    '--no-pause goes with --on threads: tasks always wait between debit and credit',
  )
}

/** A parser for a whole number in a range. */
function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    throw new InvalidArgumentError(`Expected a whole number from ${least} to ${most}.`)
  }
}
