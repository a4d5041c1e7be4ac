/**
 * The accounts: what stands in the bytes behind each lock, and the one function that moves money.
 *
 * Record 0 is the bank's own, record `i + 1` is account `i`. All fields are float64: balances are whole
 * minor units (cents), exact up to 2^53. An account's fields are read and written under its lock only;
 * the bank's are written under the bank's lock, and a transfer reads the first of them under its own
 * two locks (audit.ts says why that is enough).
 *
 * | record  | element 0             | element 1                   | element 2                  |
 * | ------- | --------------------- | --------------------------- | -------------------------- |
 * | bank    | running audit, 0: none | the last audit's number    |                            |
 * | account | balance               | balance when an audit began | the last audit that saw it |
 *
 * An account's elements 3 to 5 can note a transfer that its payer has begun and not ended: the payee's
 * record (0: no transfer), the payer's balance before, the payee's balance before. The thread that
 * takes over the locks of a dead teller undoes that transfer (an undo log of before-images, as in
 * databases).
 */

import type { SharedLocks } from '../backends/threads/index.ts'
import { giveUpTimeSlice } from './rest.ts'

/** The bytes of a record: one cache line. */
export const RECORD_BYTES = 64

const STRIDE = RECORD_BYTES / 8
const RUNNING_AUDIT = 0
const LAST_AUDIT = 1
const SAVED = 1
const SEEN_BY = 2
const PAYEE = 3
const PAYER_BEFORE = 4
const PAYEE_BEFORE = 5

/** The accounts behind a table's locks, as {@link move} takes them. */
export type Accounts = Float64Array

/** The accounts of a bank. */
export function accountsOf(locks: SharedLocks): Accounts {
  return locks.view(Float64Array)
}

/** The balance of the account in a record. */
export function balanceOf(accounts: Accounts, record: number): number {
  return accounts[record * STRIDE] as number
}

/** The sum of the balances in records 1 to `last`. */
export function sumOfBalances(accounts: Accounts, last: number): number {
  let total = 0
  for (let at = STRIDE; at <= last * STRIDE; at += STRIDE) total += accounts[at] as number
  return total
}

/** Sets the balance of the account in a record. */
export function setBalance(accounts: Accounts, record: number, balance: number): void {
  accounts[record * STRIDE] = balance
}

/**
 * Moves `amount` from one record to another, both locked; false if the balance is too small. While an
 * audit runs, what it has not seen yet is kept for it first.
 */
export function move(accounts: Accounts, payer: number, payee: number, amount: number): boolean {
  const from = payer * STRIDE
  const to = payee * STRIDE
  const balance = accounts[from] as number
  if (balance < amount) return false
  const audit = accounts[RUNNING_AUDIT] as number
  // Fewer bytes of bytecode than `audit !== 0`, and each counts: test/bank/inlining.test.ts.
  if (audit) keepForAudit(accounts, from, to, audit)
  accounts[from] = balance - amount
  accounts[to] = (accounts[to] as number) + amount
  return true
}

/** The same as {@link move}, but so that it can be undone if the thread ends in the middle of it. */
export function moveNoted(
  accounts: Accounts,
  payer: number,
  payee: number,
  amount: number,
): boolean {
  return moveInSteps(accounts, payer, payee, amount, false)
}

/**
 * The same as {@link moveNoted}, but it gives up its time slice between debit and credit, as the
 * lecture's program does: under locks a delay, without them a lost update.
 */
export function moveSlowly(
  accounts: Accounts,
  payer: number,
  payee: number,
  amount: number,
): boolean {
  return moveInSteps(accounts, payer, payee, amount, true)
}

function moveInSteps(
  accounts: Accounts,
  payer: number,
  payee: number,
  amount: number,
  slowly: boolean,
): boolean {
  const from = payer * STRIDE
  const to = payee * STRIDE
  const balance = accounts[from] as number
  const received = accounts[to] as number
  if (balance < amount) return false
  const audit = accounts[RUNNING_AUDIT] as number
  if (audit !== 0) keepForAudit(accounts, from, to, audit)
  accounts[from + PAYER_BEFORE] = balance
  accounts[from + PAYEE_BEFORE] = received
  accounts[from + PAYEE] = payee
  accounts[from] = balance - amount
  if (slowly) giveUpTimeSlice()
  accounts[to] = received + amount
  accounts[from + PAYEE] = 0
  return true
}

/**
 * Undoes the transfer that the account in a record has begun to pay and not ended; both locks are held,
 * and the teller is dead. Answers whether it was half done.
 */
export function undo(accounts: Accounts, record: number): boolean {
  const from = record * STRIDE
  const payee = accounts[from + PAYEE] as number
  if (payee === 0) return false
  const to = payee * STRIDE
  const [payerBefore, payeeBefore] = [accounts[from + PAYER_BEFORE], accounts[from + PAYEE_BEFORE]]
  const half = accounts[from] !== payerBefore || accounts[to] !== payeeBefore
  accounts[from] = payerBefore as number
  accounts[to] = payeeBefore as number
  accounts[from + PAYEE] = 0
  return half
}

/** Begins an audit, under the bank's lock: its number, which transfers see from now on. */
export function beginAudit(accounts: Accounts): number {
  const audit = (accounts[LAST_AUDIT] as number) + 1
  accounts[LAST_AUDIT] = audit
  accounts[RUNNING_AUDIT] = audit
  return audit
}

/** The balance that a locked account had when the audit began; the audit has seen it from now on. */
export function balanceAtAudit(accounts: Accounts, record: number, audit: number): number {
  const at = record * STRIDE
  if (accounts[at + SEEN_BY] === audit) return accounts[at + SAVED] as number
  accounts[at + SEEN_BY] = audit
  return accounts[at] as number
}

/** Ends the audit, under the bank's lock. */
export function endAudit(accounts: Accounts): void {
  accounts[RUNNING_AUDIT] = 0
}

/**
 * Keeps what a running audit has not seen. Its number is read once, before: the next audit may begin
 * meanwhile, and must find both balances kept, or neither.
 */
function keepForAudit(accounts: Accounts, from: number, to: number, audit: number): void {
  keepOne(accounts, from, audit)
  keepOne(accounts, to, audit)
}

function keepOne(accounts: Accounts, at: number, audit: number): void {
  if (accounts[at + SEEN_BY] === audit) return
  accounts[at + SAVED] = accounts[at] as number
  accounts[at + SEEN_BY] = audit
}
