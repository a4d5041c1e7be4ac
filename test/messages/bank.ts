/** Provokes the errors of the bank. */

import {
  allocateOrders,
  Bank,
  parseCents,
  type RunOptions,
  runBank,
  runBankOnTasks,
  strategyNamed,
} from '../../src/bank/index.ts'
import { provokeAlone, provokeEach } from './blocks.ts'

const BASE: RunOptions = {
  strategy: 'ordered',
  balances: [100, 50],
  threads: 1,
  generate: { seed: 1, transfers: 1 },
}

/** `runBank` with some options changed. */
function run(options: object): Promise<unknown> {
  return runBank({ ...BASE, ...options } as RunOptions)
}

/** `runBank` with orders: one payment. */
function pay(
  from: number,
  to: number,
  amount: number,
  change: object = {},
  options: object = { generate: undefined },
): Promise<unknown> {
  const orders = allocateOrders(1)
  orders.from[0] = from
  orders.to[0] = to
  orders.amounts[0] = amount
  return run({ ...options, orders: { ...orders, ...change } })
}

/** Refuses accounts, amounts and options. */
export async function provokeBank(): Promise<void> {
  const bank = Bank.create({ balances: [100, 50], strategy: 'ordered' })
  await provokeEach([
    () => bank.transfer(0, 2, 1),
    () => bank.transfer(0, 0, 1),
    () => bank.transfer(0, 1, 0.5),
    () => parseCents('1e3'),
    () => parseCents('1.234'),
    () => parseCents('99999999999999999'),
    () => strategyNamed('fair' as never),
    () => Bank.create(5 as never),
    () => Bank.create({ balances: [1, 2], strategy: 'ordered', threads: 2 } as never),
    () => Bank.create({ balances: [1], strategy: 'ordered' }),
    () => Bank.create({ balances: [1, 0.5], strategy: 'ordered' }),
    () => Bank.create({ balances: 5 as never, strategy: 'ordered' }),
    () => Bank.create({ balances: {} as never, strategy: 'ordered' }),
    () => Bank.create({ balances: [1, 2], strategy: 'striped', stripes: 3 }),
    () => run({ strategy: 'fair' }),
    () => run({ threads: 0 }),
    () => run({ generate: 5 }),
    () => run({ generate: undefined }),
    () => pay(0, 1, 1, {}, { generate: BASE.generate }),
    () => run({ generate: undefined, orders: 5 }),
    () => run({ onDeadlock: 'wait' }),
    () => run({ signal: 5 }),
    () => run({ trace: 1 }),
    () => run({ onProgress: [] }),
    () => run({ warmup: 5n }),
    () => pay(0, 2, 1),
    () => pay(0, 0, 1),
    () => pay(0, 1, 0.5),
    () => pay(0, 1, 1, { from: [0] }),
    () => pay(0, 1, 1, { outcomes: new Uint8Array(1) }),
    () => runBankOnTasks({ ...BASE, warmup: 5 } as never),
  ])
  const entry = JSON.stringify(new URL('../../src/bank/index.js', import.meta.url).href)
  provokeAlone(
    'runBank(options) where there are no worker threads',
    `const { runBank } = await import(${entry})
    await runBank({ strategy: 'ordered', balances: [1, 2], threads: 1,
      generate: { seed: 1, transfers: 1 } })`,
    { setup: 'process.getBuiltinModule = undefined' },
  )
}
