/** The bank in one thread: transfers, refusals, audits and misuse, under every strategy. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Bank, type StrategyName, strategyNames } from '../../src/bank/index.ts'
import { LockUsageError } from '../../src/index.ts'

for (const strategy of strategyNames) {
  describe(`a bank with the strategy ${strategy}`, () => {
    it('moves money, keeps the total, and refuses transfers that the payer cannot afford', () => {
      const bank = Bank.create({ balances: [100, 50, 0], strategy })
      assert.equal(bank.transfer(0, 2, 60), true)
      assert.equal(bank.transfer(0, 1, 41), false)
      assert.equal(bank.transfer(1, 0, 50), true)
      assert.equal(bank.transfer(2, 1, 0), true)
      assert.deepEqual([...bank.balances()], [90, 0, 60])
      assert.equal(bank.audit(), 150)
      assert.equal(bank.audit(), 150)
    })

    it('agrees with a plain model on any sequence of transfers', () => {
      const transfer = fc.tuple(fc.nat(3), fc.nat(3), fc.nat(200))
      fc.assert(
        fc.property(
          fc.array(fc.nat(300), { minLength: 4, maxLength: 4 }),
          fc.array(transfer),
          compare,
        ),
      )
      function compare(opening: number[], transfers: [number, number, number][]): void {
        const bank = Bank.create({ balances: opening, strategy })
        const model = [...opening]
        for (const [from, to, amount] of transfers) {
          if (from === to) continue
          const enough = (model[from] as number) >= amount
          if (enough) {
            model[from] = (model[from] as number) - amount
            model[to] = (model[to] as number) + amount
          }
          assert.equal(bank.transfer(from, to, amount), enough)
        }
        assert.deepEqual([...bank.balances()], model)
        assert.equal(
          bank.audit(),
          model.reduce((a, b) => a + b),
        )
      }
    })
  })
}

describe('a bank', () => {
  const bank = Bank.create({ balances: [100, 50], strategy: 'ordered' })
  const wrongAccounts: unknown[] = [-1, 2, 0.5, Number.NaN, '0', undefined, null, 2 ** 32]
  const wrongAmounts: unknown[] = [
    -1,
    0.5,
    Number.NaN,
    '1',
    undefined,
    2 ** 53,
    Infinity,
    -0.01,
    1n,
  ]

  for (const account of wrongAccounts) {
    it(`refuses account ${String(account)}`, () => {
      assert.throws(() => bank.transfer(account as number, 1, 1), LockUsageError)
      assert.throws(() => bank.transfer(0, account as number, 1), LockUsageError)
    })
  }
  for (const amount of wrongAmounts) {
    it(`refuses the amount ${String(amount)}`, () => {
      assert.throws(() => bank.transfer(0, 1, amount as number), LockUsageError)
    })
  }
  it('refuses a transfer to the same account before it moves any money', () => {
    assert.throws(() => bank.transfer(1, 1, 1), /to itself/)
    assert.deepEqual([...bank.balances()], [100, 50])
  })

  const wrongBanks: [string, unknown][] = [
    ['one account', { balances: [1], strategy: 'ordered' }],
    ['a negative balance', { balances: [1, -1], strategy: 'ordered' }],
    ['a fraction', { balances: [1, 0.5], strategy: 'ordered' }],
    ['a total past the safe integers', { balances: [2 ** 53 - 1, 1], strategy: 'ordered' }],
    ['an unknown strategy', { balances: [1, 1], strategy: 'hopeful' }],
    ['no stripes', { balances: [1, 1], strategy: 'striped', stripes: 0 }],
  ]
  for (const [what, options] of wrongBanks) {
    it(`does not open with ${what}`, () => {
      const open = (): Bank =>
        Bank.create(options as { balances: number[]; strategy: StrategyName })
      assert.throws(open, LockUsageError)
    })
  }
})
