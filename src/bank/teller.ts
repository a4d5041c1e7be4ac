/** A teller: the worker thread that carries out transfers. run.ts starts it. */

import { parentPort, workerData } from 'node:worker_threads'
import { DeadlockError } from '../index.ts'
import { Bank } from './bank.ts'
import {
  CONTROL,
  noCounts,
  publishCounts,
  type TellerData,
  type TellerMessage,
  traceLock,
} from './control.ts'
import { type Carrier, Draw } from './draw.ts'
import { strategyNamed } from './strategies.ts'
import { DONE, PENDING, REFUSED } from './workload.ts'

/**
 * The number of transfers between two checks of the stop word and two reports of progress. With this many, V8
 * never compiles the loop around them, and has its whole budget for the inner loop.
 */
const BATCH = 2048
/** The same, if audits are frequent. */
const BATCH_WITH_AUDITS = 256
/** Audits are frequent if fewer transfers than this come between two. */
const FREQUENT_AUDITS = 1000
/** The number of orders that a teller takes at once. */
const ORDERS_AT_ONCE = 16

class Teller {
  readonly #data: TellerData
  readonly #bank: Bank
  readonly #control: Int32Array
  readonly #draw: Draw
  readonly #retrying: Carrier = {
    transfer: (from, to, amount) => this.#carryOut(from, to, amount) === true,
  }
  readonly #mayDeadlock: boolean
  #counts = noCounts()
  #untilAudit: number

  constructor(data: TellerData) {
    const { control, teller, trace } = data
    this.#data = data
    this.#control = control
    this.#bank = Bank.open(data.bank, {
      label: `teller ${teller + 1}`,
      ...(trace && {
        onTake: (position, lock) => traceLock(control, trace, teller, position, lock),
      }),
    })
    this.#draw = new Draw(this.#bank.count, data.generate?.seed ?? 0, teller)
    this.#untilAudit = data.auditEvery
    this.#mayDeadlock = strategyNamed(data.bank.strategy).taking === 'payer first'
  }

  run(): void {
    // In two parts: the compiler treats counters as constants until they are set again.
    for (let part = 0; part < 2 && !this.#isAuditor; part++) {
      this.#generated(Math.ceil(this.#data.warmup / 2))
      this.#reset()
    }
    send({ kind: 'ready' })
    Atomics.wait(this.#control, CONTROL.go, 0)
    const sleepsBefore = this.#bank.sleeps
    const startMs = now()
    this.#work()
    const endMs = now()
    this.#publish()
    this.#waitForOthers()
    send({ kind: 'done', startMs, endMs, sleeps: this.#bank.sleeps - sleepsBefore })
    this.#bank.close()
  }

  #reset(): void {
    this.#counts = noCounts()
    this.#untilAudit = this.#data.auditEvery
  }

  get #isAuditor(): boolean {
    return this.#data.teller >= this.#data.tellers
  }

  #work(): void {
    if (this.#isAuditor) {
      while (Atomics.load(this.#control, CONTROL.finished) < this.#data.tellers) this.#audit()
      return
    }
    this.#transferAll()
    Atomics.add(this.#control, CONTROL.finished, 1)
    Atomics.notify(this.#control, CONTROL.finished)
  }

  /** Ending a thread costs milliseconds, which must not disturb the measurement of others. */
  #waitForOthers(): void {
    for (;;) {
      const finished = Atomics.load(this.#control, CONTROL.finished)
      if (finished >= this.#data.tellers) return
      Atomics.wait(this.#control, CONTROL.finished, finished)
    }
  }

  #transferAll(): void {
    const { generate, slowTransfers } = this.#data
    if (!generate) {
      this.#orders()
      return
    }
    const slow = Math.min(slowTransfers, generate.transfers)
    // Not even set to its current value if no transfer is slow: that would discard compiled code.
    if (slow > 0) {
      this.#bank.slowly = true
      this.#generated(slow, 1)
      this.#bank.slowly = false
    }
    this.#generated(generate.transfers - slow)
  }

  /** Draws and carries out this many transfers; stops early at the stop word. */
  #generated(count: number, batch: number = this.#batch): void {
    for (let left = count; left > 0 && !this.#stopped(); left -= batch) {
      this.#generatedBatch(Math.min(left, batch))
      this.#publish()
    }
  }

  get #batch(): number {
    const { auditEvery } = this.#data
    return auditEvery > 0 && auditEvery < FREQUENT_AUDITS ? BATCH_WITH_AUDITS : BATCH
  }

  /** Carries out one batch, in parts that end where an audit is due. */
  #generatedBatch(count: number): void {
    const { auditEvery } = this.#data
    for (let left = count; left > 0; ) {
      const part = auditEvery === 0 ? left : Math.min(left, this.#untilAudit)
      if (this.#mayDeadlock) this.#draw.each(part, this.#retrying)
      else {
        this.#counts.refused += this.#draw.each(part, this.#bank)
        this.#counts.transfers += part
      }
      left -= part
      if (auditEvery === 0) continue
      this.#untilAudit -= part
      if (this.#untilAudit === 0) this.#audit()
    }
  }

  #orders(): void {
    const { orders, slowTransfers } = this.#data
    if (!orders) return
    const { from, to, amounts, outcomes } = orders
    while (!this.#stopped()) {
      const first = Atomics.add(this.#control, CONTROL.nextOrder, ORDERS_AT_ONCE)
      if (first >= from.length) return
      const end = Math.min(first + ORDERS_AT_ONCE, from.length)
      for (let i = first; i < end && !this.#stopped(); i++) {
        this.#bank.slowly = this.#counts.transfers < slowTransfers
        const done = this.#carryOut(from[i] as number, to[i] as number, amounts[i] as number)
        outcomes[i] = done === undefined ? PENDING : done ? DONE : REFUSED
        if (this.#data.auditEvery !== 0 && --this.#untilAudit === 0) this.#audit()
      }
      this.#publish()
    }
  }

  /** Carries out or refuses one transfer; `undefined` if the run was ended before. */
  #carryOut(from: number, to: number, amount: number): boolean | undefined {
    while (!this.#stopped()) {
      try {
        const done = this.#bank.transfer(from, to, amount)
        this.#counts.transfers++
        if (!done) this.#counts.refused++
        return done
      } catch (error) {
        if (!(error instanceof DeadlockError)) throw error
        this.#counts.deadlocks++
        send({ kind: 'deadlock', report: error.report })
        if (this.#data.retryDeadlocks) continue
        Atomics.store(this.#control, CONTROL.stop, 1)
      }
    }
    return undefined
  }

  #audit(): void {
    const { auditEvery, gently, total } = this.#data
    this.#untilAudit = auditEvery
    if (this.#stopped()) return
    if (this.#bank.audit({ gently }) !== total) this.#counts.failedAudits++
    this.#counts.audits++
  }

  #stopped(): boolean {
    return Atomics.load(this.#control, CONTROL.stop) !== 0
  }

  /** Publishes the counts to the other threads. */
  #publish(): void {
    publishCounts(this.#control, this.#data.teller, this.#counts)
  }
}

function send(message: TellerMessage): void {
  parentPort?.postMessage(message)
}

function now(): number {
  return performance.timeOrigin + performance.now()
}

new Teller(workerData as TellerData).run()
