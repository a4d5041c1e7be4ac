/**
 * Runs the bank on tasks: one event loop, and between debit and credit each transfer waits, as a service
 * waits for its database. Whoever reads before such a wait and writes after it loses money on one thread
 * too.
 *
 * The same strategies, transfers and results as `runBank`, over `LockManager`. An audit takes all
 * accounts in one request; where those are too many, transfers hold the whole bank shared, and the audit
 * holds it alone.
 */

import {
  DeadlockError,
  type DeadlockReport,
  LockManager,
  relabelLocks,
  shared,
  type WantedLock,
} from '../index.ts'
import { type CheckedRun, checkRun } from './check-options.ts'
import { MOST_TRACED, type TracedLock } from './control.ts'
import { type Carrier, Draw } from './draw.ts'
import { nextTurn } from './node.ts'
import type { TaskRunOptions } from './options.ts'
import { lockName, MOST_REPORTS, type RunResult, sum, transfersAsked } from './run.ts'
import { type StrategyName, strategyNamed } from './strategies.ts'
import { DONE, REFUSED } from './workload.ts'

/** So many locks can be taken in one request. */
const MOST_LOCKS = 1024
/** So many refused transfers are carried out in one turn of the event loop. */
const REFUSED_IN_A_TURN = 256
/** What stands for all accounts. */
const WHOLE = 'bank'

/**
 * Runs the bank once, on tasks.
 *
 * @throws LockUsageError for options out of range, before anything runs.
 */
export async function runBankOnTasks(options: TaskRunOptions): Promise<RunResult> {
  return new TaskRun(checkRun('runBankOnTasks', options)).toEnd()
}

interface Transfer {
  readonly from: number
  readonly to: number
  readonly amount: number
}

class TaskRun {
  readonly #options: CheckedRun
  readonly #balances: Float64Array
  readonly #totalBefore: number
  readonly #locks: LockManager
  /** Locks for what is held beside a transfer's accounts, and for an audit. */
  readonly #beside: readonly WantedLock<string>[]
  readonly #all: readonly string[]
  readonly #reports: DeadlockReport[] = []
  readonly #trace: TracedLock[] = []
  #isStopped = false
  #turn = 0
  #nextOrder = 0
  #transfers = 0
  #refused = 0
  #audits = 0
  #failedAudits = 0
  #deadlocks = 0
  #waits = 0

  constructor(options: CheckedRun) {
    this.#options = options
    this.#balances = options.balances
    this.#totalBefore = sum(this.#balances)
    // One lock inside another is what can deadlock: its report is to have every place.
    const places = strategyNamed(options.strategy).taking === 'payer first' ? 'always' : 'sampled'
    this.#locks = new LockManager({ deadlockAfterMs: 0, trackOrder: false, places })
    const names = this.#names()
    const isTooMany = names.length > MOST_LOCKS
    this.#beside = isTooMany ? [shared(WHOLE)] : []
    this.#all = isTooMany ? [WHOLE] : names
  }

  async toEnd(): Promise<RunResult> {
    const { signal, onProgress, threads } = this.#options
    const stop = (): void => {
      this.#isStopped = true
    }
    if (signal?.aborted) stop()
    signal?.addEventListener('abort', stop)
    const timer = setInterval(() => onProgress?.(this.#transfers), 100)
    const start = performance.now()
    try {
      await Promise.all(Array.from({ length: threads }, (_, task) => this.#work(task)))
    } finally {
      clearInterval(timer)
      signal?.removeEventListener('abort', stop)
    }
    const seconds = (performance.now() - start) / 1000
    onProgress?.(this.#transfers)
    return this.#result(seconds)
  }

  /** One task: its transfers, one after the other, with its audits. */
  async #work(task: number): Promise<void> {
    const { auditEvery, orders } = this.#options
    let untilAudit = auditEvery
    for (const [transfer, order] of this.#transfersOf(task)) {
      const done = await this.#carryOut(task, transfer)
      if (done === undefined) return
      if (orders && order !== undefined) orders.outcomes[order] = done ? DONE : REFUSED
      // One that is refused waits for nothing: signals and timers must have their turn all the same.
      if (!done && this.#refused % REFUSED_IN_A_TURN === 0) await nextTurn()
      if (--untilAudit === 0) {
        await this.#audit(task)
        untilAudit = auditEvery
      }
    }
  }

  *#transfersOf(task: number): Generator<[transfer: Transfer, order?: number]> {
    const { generate, orders } = this.#options
    if (orders) {
      while (!this.#isStopped && this.#nextOrder < orders.from.length) {
        const i = this.#nextOrder++
        const [from, to] = [orders.from[i] as number, orders.to[i] as number]
        yield [{ from, to, amount: orders.amounts[i] as number }, i]
      }
    }
    if (!generate) return
    const draw = new Draw(this.#balances.length, generate.seed, task)
    let drawn: Transfer = { from: 0, to: 0, amount: 0 }
    const kept: Carrier = {
      transfer(from, to, amount) {
        drawn = { from, to, amount }
        return true
      },
    }
    for (let i = 0; i < generate.transfers && !this.#isStopped; i++) {
      draw.each(1, kept)
      yield [drawn]
    }
  }

  /** One transfer, until it is done or refused; `undefined` when the run was ended before. */
  async #carryOut(task: number, transfer: Transfer): Promise<boolean | undefined> {
    while (!this.#isStopped) {
      try {
        const done = await this.#transfer(task, transfer)
        this.#transfers++
        if (!done) this.#refused++
        return done
      } catch (error) {
        if (!(error instanceof DeadlockError)) throw error
        this.#deadlocks++
        this.#keep(error.report)
        if (this.#options.onDeadlock !== 'retry') this.#isStopped = true
      }
    }
    return undefined
  }

  #transfer(task: number, transfer: Transfer): Promise<boolean> {
    const move = (): Promise<boolean> => this.#move(transfer)
    const { taking } = strategyNamed(this.#options.strategy)
    if (taking === 'none') return move()
    const [payer, payee] = [this.#lockOf(transfer.from), this.#lockOf(transfer.to)]
    const label = `task ${task + 1}`
    if (taking === 'lower first') {
      const both = [...new Set([payer, payee])].sort((a, b) => a - b)
      return this.#holding(both.map(nameOf), label, () => {
        for (const [i, lock] of both.entries()) this.#note(task, i === 0 ? 1 : 2, lock)
        return move()
      })
    }
    return this.#holding([nameOf(payer)], label, () => {
      this.#note(task, 1, payer)
      return this.#locks.request(nameOf(payee), { label }, () => {
        this.#note(task, 2, payee)
        return move()
      })
    })
  }

  /** Holds names, and counts it if that took a turn of the event loop. */
  #holding<Result>(
    names: readonly string[],
    label: string,
    work: () => Promise<Result>,
  ): Promise<Result> {
    const turn = this.#turn
    return this.#locks.request([...this.#beside, ...names], { label }, () => {
      if (this.#turn !== turn) this.#waits++
      return work()
    })
  }

  /** Debit, a wait, credit; each reads what it changes before another wait. */
  async #move({ from, to, amount }: Transfer): Promise<boolean> {
    const payers = this.#balances[from] as number
    if (payers < amount) return false
    await this.#step()
    this.#balances[from] = payers - amount
    const payees = this.#balances[to] as number
    await this.#step()
    this.#balances[to] = payees + amount
    return true
  }

  async #audit(task: number): Promise<void> {
    if (this.#isStopped) return
    const { taking } = strategyNamed(this.#options.strategy)
    const look = (): number => sum(this.#balances)
    const total =
      taking === 'none'
        ? look()
        : await this.#locks.request(this.#all, { label: `task ${task + 1}` }, look)
    this.#audits++
    if (total !== this.#totalBefore) this.#failedAudits++
  }

  /** As a service waits for its database: others go on meanwhile. */
  async #step(): Promise<void> {
    await nextTurn()
    this.#turn++
  }

  /** The number of an account's lock, as a trace has it: 0 is the one for all. */
  #lockOf(account: number): number {
    const { strategy, stripes } = this.#options
    if (strategy === 'global') return 0
    if (strategy === 'striped') return account % stripes
    return account + 1
  }

  /** The names of all locks that the strategy has. */
  #names(): string[] {
    const locks = new Set(Array.from(this.#balances, (_, account) => this.#lockOf(account)))
    return [...locks].map(nameOf)
  }

  #note(teller: number, position: 1 | 2, lock: number): void {
    if (this.#options.trace && this.#trace.length < MOST_TRACED) {
      this.#trace.push({ teller, position, lock })
    }
  }

  #keep(report: DeadlockReport): void {
    if (this.#reports.length >= MOST_REPORTS) return
    const { strategy, accountName } = this.#options
    this.#reports.push(relabelLocks(report, (name) => labelOf(`${name}`, strategy, accountName)))
  }

  #result(seconds: number): RunResult {
    const { strategy, onDeadlock } = this.#options
    const totalAfter = sum(this.#balances)
    const isSound = totalAfter === this.#totalBefore && this.#failedAudits === 0
    const isStuck = this.#deadlocks > 0 && onDeadlock !== 'retry'
    return {
      strategy,
      outcome: isStuck ? 'deadlock' : isSound ? 'consistent' : 'inconsistent',
      transfers: this.#transfers,
      refused: this.#refused,
      audits: this.#audits,
      failedAudits: this.#failedAudits,
      totalBefore: this.#totalBefore,
      totalAfter,
      seconds,
      transfersPerSecond: seconds > 0 ? this.#transfers / seconds : 0,
      sleeps: this.#waits,
      deadlocksBroken: this.#deadlocks,
      deadlocks: this.#reports,
      complete: this.#transfers === transfersAsked(this.#options) || isStuck,
      balances: this.#balances,
      trace: this.#trace,
    }
  }
}

function nameOf(lock: number): string {
  return `account:${lock}`
}

/** A lock's name in a report. */
function labelOf(
  name: string,
  strategy: StrategyName,
  accountName: ((account: number) => string) | undefined,
): string {
  return name === WHOLE ? 'the whole bank' : lockName(strategy, Number(name.slice(8)), accountName)
}
