/** `lockwise bank`: reads the options, runs the bank, and prints text or JSON. */

import { Command } from 'commander'
import {
  breaksPromise,
  type RunOptions,
  runBank,
  runBankOnTasks,
  type StrategyName,
  strategyNamed,
  tour,
} from '../bank/index.ts'
import {
  addRunOptions,
  addWorkloadOptions,
  type BankFlags,
  checkOut,
  checkPause,
  checkStripes,
  SLOW_TRANSFERS,
} from './bank-flags.ts'
import { bankJson } from './bank-json.ts'
import { bankText, traceText } from './bank-text.ts'
import { type FinishedRun, readWorkload, refusedOf, type Workload } from './bank-workload.ts'
import { writeBalances } from './csv-output.ts'
import { EXIT } from './errors.ts'
import { startProgress } from './progress.ts'

/** Makes the subcommand. It passes its exit status to `exit`. */
export function bankCommand(exit: (status: number) => void): Command {
  const command = new Command('bank').description(
    'Run the bank: accounts, threads that transfer between them, audits that must find the same ' +
      'total. Without options: a tour through four strategies with five threads, six accounts, ' +
      '10,000 transfers each and an audit after every one. Files are CSV with a header; amounts ' +
      'have at most two decimals and no sign. The transfers that a table counts are those ' +
      'carried out and those refused.',
  )
  return addRunOptions(addWorkloadOptions(command))
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
  const runs = await runAll(flags, workload, interrupt)
  const isInterrupted = interrupt.signal.aborted
  const last = runs.at(-1)
  let isWritten = false
  let failure: unknown
  try {
    if (out !== undefined && !isInterrupted && last?.complete && last.outcome === 'consistent') {
      writeBalances(out, workload.files?.accounts.names ?? [], last.balances)
      isWritten = true
    }
  } catch (error) {
    // The result of the run is still printed.
    failure = error
  }
  const unwritten = isWritten || failure !== undefined ? undefined : flags.out
  process.stdout.write(
    flags.json
      ? bankJson(workload, runs)
      : bankText(workload, runs, { ...flags, pause: isSlow(flags) }, unwritten),
  )
  if (failure !== undefined) throw failure
  if (!isInterrupted) return status(flags, runs)
  const done = last
    ? `${last.transfers} of ${workload.transfers} transfers of ${last.strategy}`
    : 'nothing'
  process.stderr.write(`lockwise: interrupted after ${done}\n`)
  return EXIT.interrupted
}

/** Runs the strategies in sequence, until a signal interrupts them; a second signal ends the process. */
async function runAll(
  flags: BankFlags,
  workload: Workload,
  interrupt: AbortController,
): Promise<FinishedRun[]> {
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
  return runs
}

/** Whether unsafe strategies wait in their first transfers; tasks always wait in all transfers. */
function isSlow({ pause, on }: BankFlags): boolean {
  return pause && on === 'threads'
}

/** Returns 1 if a safe strategy failed, or if the one selected unsafe strategy did. */
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
