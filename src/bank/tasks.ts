/**
 * Runs the bank on tasks, on one event loop. Each transfer waits between debit and credit, as a service waits
 * for its database. Code that reads a balance before such a wait and writes it after loses money on one
 * thread too.
 *
 * The strategies, transfers and results are those of `runBank`, over `LockManager`.
 */

import { DeadlockError, type DeadlockReport, relabelLocks } from '../index.ts'
import { type CheckedRun, checkRun } from './check-options.ts'
import { MAX_TRACED, noCounts, type TracedLock } from './control.ts'
import { type Carrier, Draw } from './draw.ts'
import { nextTurn } from './node.ts'
import { observed } from './observed.ts'
import type { TaskRunOptions } from './options.ts'
import { MAX_REPORTS, type RunResult, resultOf, sum } from './result.ts'
import { strategyNamed } from './strategies.ts'
import { nameOf, TaskLocks } from './task-locks.ts'
import { DONE, REFUSED } from './workload.ts'

/** The number of refused transfers that are carried out in one turn of the event loop. */
const REFUSED_IN_A_TURN = 256

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
  readonly #locks: TaskLocks
  readonly #reports: DeadlockReport[] = []
  readonly #trace: TracedLock[] = []
  readonly #counts = noCounts()
  #isStopped = false
  #turn = 0
  #nextOrder = 0
  #waits = 0

  constructor(options: CheckedRun) {
    this.#options = options
    this.#balances = options.balances
    this.#totalBefore = sum(this.#balances)
    this.#locks = new TaskLocks(options)
  }

  async toEnd(): Promise<RunResult> {
    const { threads } = this.#options
    let seconds = 0
    await observed(this.#options, {
      stop: () => {
        this.#isStopped = true
      },
      done: () => this.#counts.transfers,
      work: async () => {
        const startMs = performance.now()
        await Promise.all(Array.from({ length: threads }, (_, task) => this.#work(task)))
        seconds = (performance.now() - startMs) / 1000
      },
    })
    return resultOf(this.#options, {
      counts: this.#counts,
      totalBefore: this.#totalBefore,
      balances: this.#balances,
      seconds,
      sleeps: this.#waits,
      deadlocks: this.#reports,
      trace: this.#trace,
    })
  }

  /** Runs one task: its transfers in sequence, with its audits. */
  async #work(task: number): Promise<void> {
    const { auditEvery, orders } = this.#options
    let untilAudit = auditEvery
    for (const [transfer, order] of this.#transfersOf(task)) {
      const done = await this.#carryOut(task, transfer)
      if (done === undefined) return
      if (orders && order !== undefined) orders.outcomes[order] = done ? DONE : REFUSED
      // A refused transfer waits for nothing, but signals and timers must get their turns.
      if (!done && this.#counts.refused % REFUSED_IN_A_TURN === 0) await nextTurn()
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

  /** Carries out or refuses one transfer; `undefined` if the run was ended before. */
  async #carryOut(task: number, transfer: Transfer): Promise<boolean | undefined> {
    while (!this.#isStopped) {
      try {
        const done = await this.#transfer(task, transfer)
        this.#counts.transfers++
        if (!done) this.#counts.refused++
        return done
      } catch (error) {
        if (!(error instanceof DeadlockError)) throw error
        this.#counts.deadlocks++
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
    const payer = this.#locks.numberOf(transfer.from)
    const payee = this.#locks.numberOf(transfer.to)
    const label = `task ${task + 1}`
    if (taking === 'lower first') {
      const both = [...new Set([payer, payee])].sort((a, b) => a - b)
      return this.#holding(both, label, () => {
        for (const [i, lock] of both.entries()) this.#note(task, i === 0 ? 1 : 2, lock)
        return move()
      })
    }
    return this.#holding([payer], label, () => {
      this.#note(task, 1, payer)
      return this.#locks.manager.request(nameOf(payee), { label }, () => {
        this.#note(task, 2, payee)
        return move()
      })
    })
  }

  /** Holds locks, and counts a wait if that took a turn of the event loop. */
  #holding<Result>(
    numbers: readonly number[],
    label: string,
    work: () => Promise<Result>,
  ): Promise<Result> {
    const turn = this.#turn
    return this.#locks.manager.request(this.#locks.wanted(numbers), { label }, () => {
      if (this.#turn !== turn) this.#waits++
      return work()
    })
  }

  /** Debits, waits, credits. Each step reads the balance that it changes before another wait. */
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
        : await this.#locks.manager.request(this.#locks.all, { label: `task ${task + 1}` }, look)
    this.#counts.audits++
    if (total !== this.#totalBefore) this.#counts.failedAudits++
  }

  /** Waits as a service waits for its database: other tasks run meanwhile. */
  async #step(): Promise<void> {
    await nextTurn()
    this.#turn++
  }

  #note(teller: number, position: 1 | 2, lock: number): void {
    if (this.#options.trace && this.#trace.length < MAX_TRACED) {
      this.#trace.push({ teller, position, lock })
    }
  }

  #keep(report: DeadlockReport): void {
    if (this.#reports.length >= MAX_REPORTS) return
    this.#reports.push(relabelLocks(report, (name) => this.#locks.labelOf(`${name}`)))
  }
}
