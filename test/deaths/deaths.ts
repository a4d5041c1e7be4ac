/**
 * Kills tellers in the middle of their transfers while others transfer and audit. Checks that the bank loses
 * nothing and no teller hangs.
 */

import { once } from 'node:events'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { Bank, lectureBalances, type StrategyName } from '../../src/bank/index.ts'
import type { SurvivorEnd, TellerData } from './teller.ts'

/** The parameters of a run. */
export interface DeathsOptions {
  readonly strategy: StrategyName
  readonly accounts: number
  readonly kills: number
  /** Whether threads that find what the dead left undo it. */
  readonly repairs: boolean
  /** Called after each kill. */
  readonly onKill?: (kills: number) => void
}

/** The result of a run. */
export interface DeathsResult {
  readonly kills: number
  /** Victims that were seen to hold locks just before. */
  readonly holding: number
  readonly transfers: number
  readonly audits: number
  readonly failedAudits: number
  /** Half-done transfers that were found and undone. */
  readonly undone: number
  /** The number of calls that reported a dead owner. */
  readonly reported: number
  readonly totalBefore: number
  readonly totalAfter: number
  readonly seconds: number
}

/** The work of the tellers that survive. */
export const ROLES = ['transfers', 'audits'] as const

/** Indices of the words that all threads share. */
export const WORD = { stop: 0, holds: 1, freeze: 2 } as const

export async function runDeaths(options: DeathsOptions): Promise<DeathsResult> {
  const { strategy, accounts, kills, repairs, onKill } = options
  const bank = Bank.create({
    strategy,
    balances: lectureBalances(accounts),
    tellers: 8 + kills,
    repairs,
  })
  const total = bank.audit()
  const words = new Int32Array(new SharedArrayBuffer(16))
  const start = (role: TellerData['role'], seed: number): Worker => {
    const data: TellerData = { bank: bank.handle, words, role, seed, total }
    return new Worker(new URL(`./teller${extname(import.meta.url)}`, import.meta.url), {
      workerData: data,
      name: `${role} ${seed}`,
    })
  }
  const began = performance.now()
  const survivors = ROLES.map((role, i) => start(role, i))
  const ends = survivors.map(async (worker) => (await once(worker, 'message'))[0] as SurvivorEnd)
  let holding = 0
  for (let kill = 0; kill < kills; kill++) {
    Atomics.store(words, WORD.holds, 0)
    // In turn: one that stops with a lock taken, one at any point, one with a transfer half done.
    Atomics.store(words, WORD.freeze, kill % 3 === 0 ? 1 : 0)
    const victim = start(kill % 3 === 2 && repairs ? 'is killed midway' : 'is killed', 100 + kill)
    const ended = once(victim, 'exit')
    while (Atomics.load(words, WORD.holds) === 0) await new Promise(setImmediate)
    holding += Atomics.load(words, WORD.holds)
    await Promise.all([victim.terminate(), ended])
    onKill?.(kill + 1)
  }
  Atomics.store(words, WORD.stop, 1)
  const results = await Promise.all(ends)
  const seconds = (performance.now() - began) / 1000
  await Promise.all(survivors.map((worker) => worker.terminate()))
  const sum = (of: (end: SurvivorEnd) => number): number =>
    results.reduce((all, end) => all + of(end), 0)
  return {
    kills,
    holding,
    transfers: sum(({ transfers }) => transfers),
    audits: sum(({ audits }) => audits),
    failedAudits: sum(({ failedAudits }) => failedAudits),
    undone: sum(({ undone }) => undone) + (repairs ? undoneBy(bank) : 0),
    reported: sum(({ reported }) => reported),
    totalBefore: total,
    totalAfter: bank.balances().reduce((all, balance) => all + balance, 0),
    seconds,
  }
}

/** Visits every account, and returns the number of half-done transfers that were undone. */
function undoneBy(bank: Bank): number {
  for (let account = 1; account < bank.count; account++) bank.transfer(account, 0, 0)
  return bank.undone
}
