/**
 * The accounts: the layout of the bytes behind each lock, and the only functions that move money.
 *
 * Record 0 is the bank's own, record `i + 1` is account `i`. All fields are float64: balances are whole
 * minor units (cents), exact up to 2^53. An account's fields are read and written only under its lock; the
 * bank's are written under the bank's lock. A transfer reads the first of the bank's fields while it holds
 * only its own two locks (audit.ts explains why that is enough).
 *
 * | record  | element 0             | element 1                   | element 2                  |
 * | ------- | --------------------- | --------------------------- | -------------------------- |
 * | bank    | running audit, 0: none | the last audit's number    |                            |
 * | account | balance               | balance when an audit began | the last audit that saw it |
 *
 * An account's elements 3 to 5 can record a transfer that it has begun and not finished paying: the payee's
 * record (0: no transfer), the payer's balance before, the payee's balance before. They are an undo log of
 * before-images, as in databases: the thread that takes over the locks of a dead teller undoes the transfer.
 */

import type { SharedLocks } from '../backends/threads/index.ts'
import { giveUpTimeSlice } from './rest.ts'

/** The size of a record: one cache line. */
export const RECORD_BYTES = 64

const STRIDE = RECORD_BYTES / 8
const RUNNING_AUDIT = 0
const LAST_AUDIT = 1
const SAVED = 1
const SEEN_BY = 2
const PAYEE = 3
const PAYER_BEFORE = 4
const PAYEE_BEFORE = 5

/** The bytes behind a table's locks, as {@link move} accesses them. */
export type Accounts = Float64Array

/** Returns the accounts of a bank. */
export function accountsOf(locks: SharedLocks): Accounts {
  return locks.view(Float64Array)
}

/** Returns the balance of the account in a record. */
export function balanceOf(accounts: Accounts, record: number): number {
  return accounts[record * STRIDE] as number
}

/** Returns the sum of the balances in records 1 to `last`. */
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
 * Moves `amount` from one record to another; the caller holds both locks. Returns false if the balance is too
 * small. While an audit runs, first saves for it the balances that it has not seen.
 */
export function move(accounts: Accounts, payer: number, payee: number, amount: number): boolean {
  const from = payer * STRIDE
  const to = payee * STRIDE
  const balance = accounts[from] as number
  if (balance < amount) return false
  const audit = accounts[RUNNING_AUDIT] as number
  // Fewer bytes of bytecode than `audit !== 0`; each byte counts: test/bank/inlining.test.ts.
  if (audit) keepForAudit(accounts, from, to, audit)
  accounts[from] = balance - amount
  accounts[to] = (accounts[to] as number) + amount
  return true
}

/** Like {@link move}, but the transfer can be undone if the thread ends in the middle of it. */
export function moveNoted(
  accounts: Accounts,
  payer: number,
  payee: number,
  amount: number,
): boolean {
  return moveInSteps(accounts, payer, payee, amount, false)
}

/**
 * Like {@link moveNoted}, but gives up the time slice between debit and credit, as the lecture's program
 * does. Under locks that is a delay; without them, a lost update.
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
 * Undoes the unfinished transfer that the account in a record was paying. The caller holds both locks, and
 * the teller is dead. Returns whether a balance had already changed.
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

/** Begins an audit, under the bank's lock. Returns its number, which transfers see from now on. */
export function beginAudit(accounts: Accounts): number {
  const audit = (accounts[LAST_AUDIT] as number) + 1
  accounts[LAST_AUDIT] = audit
  accounts[RUNNING_AUDIT] = audit
  return audit
}

/** Returns the balance of a locked account at the beginning of the audit, and marks the account as seen. */
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
 * Saves the balances that a running audit has not seen. The caller reads the audit's number only once. The
 * next audit may begin meanwhile, and must find both balances saved, or neither.
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
