/** Runs the bank: starts the tellers, opens the barrier, waits for their end, and adds up. */

import type { Worker } from 'node:worker_threads'
import { type DeadlockReport, relabelLocks } from '../index.ts'
import { Bank } from './bank.ts'
import { type CheckedRun, checkRun } from './check-options.ts'
import {
  allocateControl,
  CONTROL,
  COUNTER,
  COUNTERS,
  counterOf,
  MOST_TRACED,
  type TracedLock,
  tracedLocks,
} from './control.ts'
import { tellerStarter } from './node.ts'
import type { RunOptions } from './options.ts'
import { type StrategyName, strategyNamed } from './strategies.ts'
import type { TellerData, TellerMessage } from './teller.ts'

/** What a run came to: the totals must agree, or money was lost or made. */
export type Outcome = 'consistent' | 'inconsistent' | 'deadlock'

/** The result of a run. Money is in minor units. */
export interface RunResult {
  readonly strategy: StrategyName
  readonly outcome: Outcome
  /** Transfers carried out or refused. */
  readonly transfers: number
  readonly refused: number
  readonly audits: number
  readonly failedAudits: number
  readonly totalBefore: number
  readonly totalAfter: number
  /** From the first teller's first transfer to the last one's last; without starting threads. */
  readonly seconds: number
  readonly transfersPerSecond: number
  /** How often a teller slept because a lock was busy. */
  readonly sleeps: number
  /** How many deadlocks there were; each was broken by rejecting one transfer. */
  readonly deadlocksBroken: number
  /** The first of them, at most {@link MOST_REPORTS}. */
  readonly deadlocks: readonly DeadlockReport[]
  /** False when the signal ended the run early. */
  readonly complete: boolean
  readonly balances: Float64Array
  /** Which teller took which lock, in order; numbers as {@link lockName} explains. */
  readonly trace: Iterable<TracedLock>
}

/** Reports kept of one run; the rest is only counted. */
export const MOST_REPORTS = 1000

/** How often progress is looked at. */
const PROGRESS_MS = 100

/**
 * Runs the bank once.
 *
 * @throws LockUsageError for options out of range, before any thread is started; and whatever a
 *   teller throws.
 */
export async function runBank(options: RunOptions): Promise<RunResult> {
  const checked = checkRun('runBank', options)
  const start = await tellerStarter()
  const { strategy, balances, stripes, repairs, threads, auditors } = checked
  const tellers = 1 + threads + auditors
  const bank = Bank.create({ strategy, balances, stripes, repairs, tellers })
  return new Run(checked, bank, start).toEnd()
}

/** A lock's name in a trace: the account behind it, or the lock that accounts share. */
export function lockName(
  strategy: StrategyName,
  lock: number,
  accountName: (account: number) => string = defaultName,
): string {
  if (strategy === 'global') return 'the global lock'
  return strategy === 'striped' ? `stripe ${lock}` : accountName(lock - 1)
}

function defaultName(account: number): string {
  return `account ${account}`
}

class Run {
  readonly #options: CheckedRun
  readonly #bank: Bank
  readonly #startThread: Awaited<ReturnType<typeof tellerStarter>>
  readonly #totalBefore: number
  readonly #workerCount: number
  readonly #control: Int32Array
  readonly #trace: Int32Array | undefined
  readonly #workers: Worker[] = []
  readonly #done: Extract<TellerMessage, { kind: 'done' }>[] = []
  readonly #reports: DeadlockReport[] = []
  #ready = 0

  constructor(
    options: CheckedRun,
    bank: Bank,
    startThread: Awaited<ReturnType<typeof tellerStarter>>,
  ) {
    this.#startThread = startThread
    this.#options = options
    this.#bank = bank
    this.#totalBefore = sum(bank.balances())
    this.#workerCount = options.threads + options.auditors
    this.#control = allocateControl(this.#workerCount)
    this.#trace = options.trace ? this.#traceMemory() : undefined
  }

  async toEnd(): Promise<RunResult> {
    const { signal, onProgress } = this.#options
    const stop = (): void => void Atomics.store(this.#control, CONTROL.stop, 1)
    if (signal?.aborted) stop()
    signal?.addEventListener('abort', stop)
    const timer = setInterval(() => onProgress?.(this.#counted(COUNTER.transfers)), PROGRESS_MS)
    try {
      const ends: Promise<void>[] = []
      for (let teller = 0; teller < this.#workerCount; teller++) ends.push(this.#start(teller))
      await Promise.all(ends)
    } finally {
      clearInterval(timer)
      signal?.removeEventListener('abort', stop)
      await Promise.all(this.#workers.map((worker) => worker.terminate()))
      this.#bank.close()
    }
    onProgress?.(this.#counted(COUNTER.transfers))
    return this.#result()
  }

  /** Starts a teller; the promise settles with its end. */
  #start(teller: number): Promise<void> {
    const { threads } = this.#options
    const worker = this.#startThread({
      workerData: this.#tellerData(teller),
      name: `teller ${teller + 1}`,
    })
    this.#workers.push(worker)
    worker.on('message', (message: TellerMessage) => {
      if (message.kind === 'ready' && ++this.#ready === this.#workerCount) this.#open()
      if (message.kind === 'done' && teller < threads) this.#done.push(message)
      if (message.kind === 'deadlock') this.#keep(message.report)
    })
    return new Promise((resolve, reject) => {
      worker.once('error', reject)
      worker.once('exit', () => resolve())
    })
  }

  /** All tellers stand at the barrier: undoes the warm-up and lets them go. */
  #open(): void {
    if (this.#options.warmup > 0) {
      this.#bank.reset(this.#options.balances)
      this.#control.fill(0, CONTROL.tellers, CONTROL.tellers + COUNTERS * this.#workerCount)
    }
    Atomics.store(this.#control, CONTROL.go, 1)
    Atomics.notify(this.#control, CONTROL.go)
  }

  #keep(report: DeadlockReport): void {
    if (this.#reports.length >= MOST_REPORTS) return
    const { strategy, accountName } = this.#options
    this.#reports.push(
      relabelLocks(report, (lock) => lockName(strategy, Number(lock), accountName)),
    )
  }

  #tellerData(teller: number): TellerData {
    const { generate, orders, threads, auditEvery, gently, slowTransfers, warmup } = this.#options
    return {
      bank: this.#bank.handle,
      control: this.#control,
      teller,
      tellers: threads,
      total: this.#totalBefore,
      auditEvery,
      gently: teller >= threads && gently,
      retryDeadlocks: this.#options.onDeadlock === 'retry',
      slowTransfers,
      warmup: generate ? warmup : 0,
      ...(generate && { generate }),
      ...(orders && { orders }),
      ...(this.#trace && { trace: this.#trace }),
    }
  }

  #traceMemory(): Int32Array {
    const events = Math.min(2 * transfersAsked(this.#options) + this.#options.threads, MOST_TRACED)
    return new Int32Array(new SharedArrayBuffer(8 * events))
  }

  #counted(counter: number): number {
    let total = 0
    for (let teller = 0; teller < this.#workerCount; teller++) {
      total += this.#control[counterOf(teller, counter)] as number
    }
    return total
  }

  #result(): RunResult {
    const { strategy } = this.#options
    const balances = this.#bank.balances()
    const totalAfter = sum(balances)
    const transfers = this.#counted(COUNTER.transfers)
    const failedAudits = this.#counted(COUNTER.failedAudits)
    const deadlocksBroken = this.#counted(COUNTER.deadlocks)
    const stoppedByDeadlock = deadlocksBroken > 0 && this.#options.onDeadlock !== 'retry'
    const seconds = this.#seconds()
    return {
      strategy,
      outcome: stoppedByDeadlock
        ? 'deadlock'
        : totalAfter === this.#totalBefore && failedAudits === 0
          ? 'consistent'
          : 'inconsistent',
      transfers,
      refused: this.#counted(COUNTER.refused),
      audits: this.#counted(COUNTER.audits),
      failedAudits,
      totalBefore: this.#totalBefore,
      totalAfter,
      seconds,
      transfersPerSecond: seconds > 0 ? transfers / seconds : 0,
      sleeps: this.#done.reduce((all, { sleeps }) => all + sleeps, 0),
      deadlocksBroken,
      deadlocks: this.#reports,
      complete: transfers === transfersAsked(this.#options) || stoppedByDeadlock,
      balances,
      trace: this.#trace ? tracedLocks(this.#control, this.#trace) : [],
    }
  }

  #seconds(): number {
    const start = Math.min(...this.#done.map(({ startMs }) => startMs))
    const end = Math.max(...this.#done.map(({ endMs }) => endMs))
    return this.#done.length > 0 ? (end - start) / 1000 : 0
  }
}

/** How many transfers a run is to carry out. */
export function transfersAsked({ generate, orders, threads }: CheckedRun): number {
  return generate ? generate.transfers * threads : (orders?.from.length ?? 0)
}

/** What all accounts hold together. */
export function sum(balances: Float64Array): number {
  return balances.reduce((total, balance) => total + balance, 0)
}

/** Whether an outcome breaks what the strategy promises. */
export function breaksPromise(result: RunResult): boolean {
  return strategyNamed(result.strategy).safe && result.outcome !== 'consistent'
}
