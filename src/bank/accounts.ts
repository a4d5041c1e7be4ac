/**
 * The accounts: what stands in the bytes behind each lock, and the one function that moves money.
 *
 * Record 0 is the bank's own, record `i + 1` is account `i`. Balances are whole minor units (cents) in
 * a float64, exact up to 2^53. Every field of an account is read and written under its lock only.
 *
 * | record  | bytes 0-7     | bytes 8-15                      | bytes 16-19            |
 * | ------- | ------------- | ------------------------------- | ---------------------- |
 * | bank    | opening total | 8-11 the running audit, 0: none | the last audit's number |
 * | account | balance       | balance when the audit began    | the audit that has seen it |
 */

import type { SharedLocks } from '../backends/threads/index.ts'

/** The accounts of one bank, as views of its memory. */
export interface Accounts {
  readonly balances: Float64Array
  readonly marks: Int32Array
  /** From one record to the next, in float64 elements. */
  readonly stride: number
}

/** The bytes of a record: one cache line. */
export const RECORD_BYTES = 64

/** In `marks`, of record 0: the number of the running audit, 0 for none; and of the last one. */
export const RUNNING_AUDIT = 2
export const LAST_AUDIT = 4

const STRIDE = RECORD_BYTES / 8
const SAVED = 1
const MARK = 4

/** The accounts behind a table's locks. */
export function accountsOf(locks: SharedLocks): Accounts {
  return { balances: locks.view(Float64Array), marks: locks.view(Int32Array), stride: STRIDE }
}

/** The balance of the account in a record. */
export function balanceOf(accounts: Accounts, record: number): number {
  return accounts.balances[record * STRIDE] as number
}

export function setBalance(accounts: Accounts, record: number, balance: number): void {
  accounts.balances[record * STRIDE] = balance
}

/**
 * Moves `amount` from one record to another, both locked; false if the balance is too small. While an
 * audit runs, what it has not seen yet is kept for it first.
 */
export function move(
  balances: Float64Array,
  marks: Int32Array,
  payer: number,
  payee: number,
  amount: number,
): boolean {
  const from = payer * STRIDE
  const to = payee * STRIDE
  const balance = balances[from] as number
  if (balance < amount) return false
  const audit = marks[RUNNING_AUDIT] as number
  if (audit !== 0) {
    keepForAudit(balances, marks, from, audit)
    keepForAudit(balances, marks, to, audit)
  }
  balances[from] = balance - amount
  balances[to] = (balances[to] as number) + amount
  return true
}

function keepForAudit(
  balances: Float64Array,
  marks: Int32Array,
  at: number,
  audit: number,
): void {
  if (marks[2 * at + MARK] === audit) return
  balances[at + SAVED] = balances[at] as number
  marks[2 * at + MARK] = audit
}

/** What the account in a record, locked, had when audit number `audit` began; it is seen from now on. */
export function balanceAtAudit(accounts: Accounts, record: number, audit: number): number {
  const { balances, marks } = accounts
  const at = record * STRIDE
  keepForAudit(balances, marks, at, audit)
  return balances[at + SAVED] as number
}

/**
 * The same as {@link move}, but it reads both balances first and gives up its time slice between debit
 * and credit, as the lecture's program does: under locks a delay, without them a lost update.
 */
export function moveSlowly(
  balances: Float64Array,
  marks: Int32Array,
  payer: number,
  payee: number,
  amount: number,
): boolean {
  const from = payer * STRIDE
  const to = payee * STRIDE
  const balance = balances[from] as number
  const received = balances[to] as number
  if (balance < amount) return false
  const audit = marks[RUNNING_AUDIT] as number
  if (audit !== 0) {
    keepForAudit(balances, marks, from, audit)
    keepForAudit(balances, marks, to, audit)
  }
  balances[from] = balance - amount
  giveUpTimeSlice()
  balances[to] = received + amount
  return true
}

const never = new Int32Array(new SharedArrayBuffer(4))

/** Lets other threads run: the shortest sleep there is, some 60 µs. */
function giveUpTimeSlice(): void {
  Atomics.wait(never, 0, 0, 0.001)
}
