/** The notes that a transfer keeps for an audit, while audits end and begin at any moment. */

import assert from 'node:assert/strict'
import { it } from 'node:test'
import {
  type Accounts,
  balanceAtAudit,
  move,
  moveNoted,
  moveSlowly,
} from '../../src/bank/accounts.ts'

/** Memory of two accounts in which each read of the audit's number gives the next of `running`. */
function accountsDuringAudits(...running: number[]): Accounts {
  const memory = new Float64Array(24)
  memory[8] = 100
  return new Proxy(memory, {
    get: (target, index) => (index === '0' ? (running.shift() ?? 0) : Reflect.get(target, index)),
  })
}

for (const transfer of [move, moveNoted, moveSlowly]) {
  for (const running of [
    [1, 0, 2],
    [1, 2, 2],
    [1, 1, 2],
    [0, 2, 2],
  ]) {
    it(`${transfer.name} appears as a whole or not at all when audits are numbered ${running}`, () => {
      for (const number of [1, 2]) {
        const accounts = accountsDuringAudits(...running)
        assert.equal(transfer(accounts, 1, 2, 30), true)
        const sum = balanceAtAudit(accounts, 1, number) + balanceAtAudit(accounts, 2, number)
        assert.equal(sum, 100)
      }
    })
  }
}
