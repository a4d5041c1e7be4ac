/** Runs the bank on threads: starts the tellers, opens the barrier, and waits for them to end. */

import type { Worker } from 'node:worker_threads'
import { type DeadlockReport, relabelLocks } from '../index.ts'
import { Bank } from './bank.ts'
import { type CheckedRun, checkRun } from './check-options.ts'
import {
  allocateControl,
  CONTROL,
  clearCounts,
  MAX_TRACED,
  publishedCounts,
  type TellerData,
  type TellerMessage,
  tracedLocks,
} from './control.ts'
import { tellerStarter } from './node.ts'
import { observed } from './observed.ts'
import type { RunOptions } from './options.ts'
import { lockName, MAX_REPORTS, type RunResult, resultOf, sum, transfersAsked } from './result.ts'

/**
 * Runs the bank once.
 *
 * @throws LockUsageError for options out of range, before any thread starts; also rethrows a teller's error.
 */
export async function runBank(options: RunOptions): Promise<RunResult> {
  const checked = checkRun('runBank', options)
  const start = await tellerStarter()
  const { strategy, balances, stripes, repairs, threads, auditors } = checked
  const tellers = 1 + threads + auditors
  const bank = Bank.create({ strategy, balances, stripes, repairs, tellers })
  return new Run(checked, bank, start).toEnd()
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
    await observed(this.#options, {
      stop: () => void Atomics.store(this.#control, CONTROL.stop, 1),
      done: () => publishedCounts(this.#control).transfers,
      work: () => this.#work(),
    })
    return this.#result()
  }

  /** Starts all tellers, and waits for them to end. */
  async #work(): Promise<void> {
    try {
      const ends: Promise<void>[] = []
      for (let teller = 0; teller < this.#workerCount; teller++) ends.push(this.#start(teller))
      await Promise.all(ends)
    } finally {
      await Promise.all(this.#workers.map((worker) => worker.terminate()))
      this.#bank.close()
    }
  }

  /** Starts a teller; the promise settles when it ends. */
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

  /** Called when all tellers wait at the barrier: undoes the warm-up, and opens it. */
  #open(): void {
    if (this.#options.warmup > 0) {
      this.#bank.reset(this.#options.balances)
      clearCounts(this.#control)
    }
    Atomics.store(this.#control, CONTROL.go, 1)
    Atomics.notify(this.#control, CONTROL.go)
  }

  #keep(report: DeadlockReport): void {
    if (this.#reports.length >= MAX_REPORTS) return
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
    const events = Math.min(2 * transfersAsked(this.#options) + this.#options.threads, MAX_TRACED)
    return new Int32Array(new SharedArrayBuffer(8 * events))
  }

  #result(): RunResult {
    return resultOf(this.#options, {
      counts: publishedCounts(this.#control),
      totalBefore: this.#totalBefore,
      balances: this.#bank.balances(),
      seconds: this.#seconds(),
      sleeps: this.#done.reduce((all, { sleeps }) => all + sleeps, 0),
      deadlocks: this.#reports,
      trace: this.#trace ? tracedLocks(this.#control, this.#trace) : [],
    })
  }

  #seconds(): number {
    const start = Math.min(...this.#done.map(({ startMs }) => startMs))
    const end = Math.max(...this.#done.map(({ endMs }) => endMs))
    return this.#done.length > 0 ? (end - start) / 1000 : 0
  }
}
