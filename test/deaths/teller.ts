/** One teller of deaths.ts: transfers, audits, or is killed while it transfers. */

import { parentPort, workerData } from 'node:worker_threads'
import { SharedLocks } from '../../src/backends/threads/index.ts'
import { moveNoted } from '../../src/bank/accounts.ts'
import { Bank, type BankHandle } from '../../src/bank/index.ts'
import { OwnerDiedError } from '../../src/index.ts'
import { WORD } from './deaths.ts'

/** The start data of a teller. */
export interface TellerData {
  readonly bank: BankHandle
  readonly words: Int32Array
  readonly role: 'transfers' | 'audits' | 'is killed' | 'is killed midway'
  readonly seed: number
  readonly total: number
}

/** The final counts of a teller that was not killed. */
export interface SurvivorEnd {
  readonly transfers: number
  readonly audits: number
  readonly failedAudits: number
  readonly undone: number
  readonly reported: number
}

const { bank: handle, words, role, seed, total } = workerData as TellerData
const bank = Bank.open(handle, {
  label: `${role} ${seed}`,
  ...(role === 'is killed' && { onTake: holds }),
})
// A victim sleeps between debit and credit, so many victims die there.
bank.slowly = role === 'is killed'
if (role === 'is killed midway') stopMidway()
const end = { transfers: 0, audits: 0, failedAudits: 0, undone: 0, reported: 0 }
let state = seed + 1

while (role === 'is killed' || Atomics.load(words, WORD.stop) === 0) {
  try {
    if (role === 'audits') audit()
    else transfer()
  } catch (error) {
    if (!(error instanceof OwnerDiedError)) throw error
    end.reported++
  }
}
end.undone = bank.undone
parentPort?.postMessage(end satisfies SurvivorEnd)
bank.close()

function transfer(): void {
  const from = below(bank.count)
  const to = (from + 1 + below(bank.count - 1)) % bank.count
  bank.transfer(from, to, 1 + below(100))
  end.transfers++
}

function audit(): void {
  if (bank.audit() !== total) end.failedAudits++
  end.audits++
}

/** Debits one account and stops before it credits the other. (It avoids account 0, which can be too poor.) */
function stopMidway(): void {
  const locks = SharedLocks.open(handle.locks)
  const accounts = new Proxy(locks.view(Float64Array), {
    get: (target, index) => Reflect.get(target, index),
    set: (target, index, value) => {
      if (index === String(2 * 8)) {
        Atomics.store(words, WORD.holds, 1)
        Atomics.wait(words, WORD.holds, 1)
      }
      return Reflect.set(target, index, value)
    },
  })
  for (;;) {
    try {
      locks.holdPair(1, 2, moveNoted, accounts, 1, 2, 1)
    } catch (error) {
      // Others repair what another victim left there.
      if (!(error instanceof OwnerDiedError)) throw error
    }
  }
}

/** Reports that this teller holds a lock, and stops if `freeze` is set. */
function holds(): void {
  Atomics.store(words, WORD.holds, 1)
  if (Atomics.load(words, WORD.freeze) === 1) Atomics.wait(words, WORD.freeze, 1)
}

function below(limit: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 2 ** 32) * limit)
}
