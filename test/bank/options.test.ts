/** The options of a bank and of its runs: each bad value is refused at once, each valid edge value runs. */

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { inspect } from 'node:util'
import {
  allocateOrders,
  Bank,
  type BankOptions,
  type Orders,
  type RunOptions,
  type RunResult,
  runBank,
  runBankOnTasks,
  type StrategyName,
  strategyNamed,
  type TaskRunOptions,
} from '../../src/bank/index.ts'

const base = {
  strategy: 'ordered',
  balances: [100, 200, 300],
  threads: 2,
  generate: { seed: 1, transfers: 50 },
} as const satisfies TaskRunOptions

const runs: Record<string, (options: unknown) => Promise<RunResult>> = {
  runBank: (options) => runBank(options as RunOptions),
  runBankOnTasks: (options) => runBankOnTasks(options as TaskRunOptions),
}

/** Values that are not a number in any range. */
const NO_NUMBERS = [Number.NaN, null, '3', true, {}, [2], () => 2, 2n, Infinity, 1.5, -1, 2 ** 53]
const NO_FLAGS = [null, 0, 1, 'true', {}]
const NO_OBJECTS = [null, 1, 'text', true, () => {}]
const NO_FUNCTIONS = [null, 1, 'text', {}]

/** Avoids the printer of a forged signal, which throws. */
function plain(value: unknown): string {
  return inspect(value, { customInspect: false })
}

function ordersOf(from: number, to: number, amount: number): Orders {
  const orders = allocateOrders(1)
  orders.from[0] = from
  orders.to[0] = to
  orders.amounts[0] = amount
  return orders
}

/** The options of both kinds of runs, each with values that it refuses. */
const bad: Record<string, readonly unknown[]> = {
  strategy: [undefined, null, 'x', '', 'constructor', 'toString', '__proto__', 1, ['ordered'], {}],
  balances: [
    undefined,
    ...NO_OBJECTS,
    {},
    [],
    [1],
    ...NO_NUMBERS.filter((value) => value !== null).map((value) => [value, 1]),
    [null, 1],
    [undefined, 1],
    new Array(3),
    [2 ** 53 - 1, 1],
    { length: 2 ** 40, 0: 1 },
    { length: -1 },
    { length: Number.NaN },
    new BigInt64Array(3),
  ],
  threads: [undefined, 0, ...NO_NUMBERS, 2 ** 31],
  generate: [
    undefined,
    ...NO_OBJECTS,
    {},
    ...[undefined, ...NO_NUMBERS].map((seed) => ({ seed, transfers: 1 })),
    ...[undefined, ...NO_NUMBERS].map((transfers) => ({ seed: 1, transfers })),
    { seed: 2 ** 32, transfers: 1 },
    { seed: 1, transfers: 2 ** 31 },
  ],
  auditEvery: NO_NUMBERS,
  stripes: [0, ...NO_NUMBERS],
  auditors: NO_NUMBERS,
  gently: NO_FLAGS,
  repairs: NO_FLAGS,
  slowTransfers: NO_NUMBERS,
  warmup: [...NO_NUMBERS, 2 ** 31],
  trace: NO_FLAGS,
  onDeadlock: [null, 'panic', 'constructor', true, 1, {}],
  accountName: NO_FUNCTIONS,
  onProgress: NO_FUNCTIONS,
  signal: [
    ...NO_OBJECTS,
    {},
    { aborted: false, addEventListener() {}, removeEventListener() {} },
    Object.create(AbortSignal.prototype),
    new AbortController(),
  ],
  pauses: [1, true],
  transfers: [1],
}

/** Used instead of `generate`. */
const badOrders: readonly unknown[] = [
  ...NO_OBJECTS,
  {},
  { ...allocateOrders(2), from: [0, 1] },
  { ...allocateOrders(2), amounts: new Float64Array(new SharedArrayBuffer(8)) },
  ordersOf(3, 0, 1),
  ordersOf(0, 3, 1),
  ordersOf(-1, 0, 1),
  ordersOf(1, 1, 1),
  ordersOf(0, 1, -1),
  ordersOf(0, 1, 0.5),
  ordersOf(0, 1, Number.NaN),
]

describe('option checks', { timeout: 60_000 }, () => {
  let started = 0
  const count = (): void => void started++
  before(() => process.on('worker', count))
  after(() => process.off('worker', count))

  async function refuses(
    run: (options: unknown) => Promise<RunResult>,
    options: unknown,
  ): Promise<void> {
    const before = started
    // Not rejects(): it would accept a call that throws at once.
    const promise = run(options)
    await assert.rejects(promise, (error: Error & { code?: string }) => {
      assert.equal(error.code, 'LOCK_USAGE', `${plain(options)}: ${error.stack}`)
      assert.match(error.message, /^[^\n]{10,400}$/)
      return true
    })
    assert.equal(started, before, 'no thread was started')
  }

  for (const [call, run] of Object.entries(runs)) {
    for (const [name, values] of Object.entries(bad)) {
      it(`make ${call} refuse every bad value of ${name}, and start no thread`, async () => {
        for (const value of values) await refuses(run, { ...base, [name]: value })
      })
    }

    it(`make ${call} refuse bad orders, and start no thread`, async () => {
      const { generate: _, ...others } = base
      for (const orders of badOrders) await refuses(run, { ...others, orders })
    })

    it(`make ${call} refuse missing orders, and two kinds of them`, async () => {
      const { generate: _, ...others } = base
      await refuses(run, others)
      await refuses(run, { ...base, orders: allocateOrders(1) })
    })

    it(`make ${call} refuse options that are not an object`, async () => {
      for (const options of [undefined, ...NO_OBJECTS]) await refuses(run, options)
    })

    it(`make ${call} refuse more stripes than accounts where the bank is striped`, async () => {
      await refuses(run, { ...base, strategy: 'striped', stripes: 4 })
    })
  }

  it('make runBank refuse orders that other threads cannot see', async () => {
    const { generate: _, ...others } = base
    const orders = {
      from: new Int32Array(1),
      to: new Int32Array([1]),
      amounts: new Float64Array(1),
      outcomes: new Uint8Array(1),
    }
    await refuses(runs.runBank as never, { ...others, orders })
    assert.equal((await runBankOnTasks({ ...others, orders })).transfers, 1)
  })

  it('make runBank refuse more threads than it can start', async () => {
    await refuses(runs.runBank as never, { ...base, threads: 1001 })
    await refuses(runs.runBank as never, { ...base, threads: 999, auditors: 2 })
  })

  it('make runBankOnTasks refuse options that only threads have', async () => {
    const only = { auditors: 1, gently: true, repairs: true, slowTransfers: 1, warmup: 1 }
    for (const [name, value] of Object.entries(only)) {
      await refuses(runs.runBankOnTasks as never, { ...base, [name]: value })
    }
  })

  it('make Bank.create refuse the bad values of its own options', () => {
    const good: BankOptions = { strategy: 'striped', balances: [1, 2] }
    const { strategy, balances, stripes, repairs } = bad
    const own = { strategy, balances, stripes, repairs, tellers: [0, ...NO_NUMBERS, 65_536] }
    for (const [name, values = []] of Object.entries({ ...own, threads: [1] })) {
      for (const value of values) {
        const options = { ...good, [name]: value } as BankOptions
        assert.throws(() => Bank.create(options), { code: 'LOCK_USAGE' }, plain(options))
      }
    }
    assert.throws(() => Bank.create(null as never), { code: 'LOCK_USAGE' })
  })

  it('make strategyNamed refuse inherited names', () => {
    for (const name of ['constructor', 'toString', '__proto__', '']) {
      assert.throws(() => strategyNamed(name as StrategyName), { code: 'LOCK_USAGE' })
    }
  })
})

describe('valid extreme values', { timeout: 60_000 }, () => {
  const common: readonly Partial<TaskRunOptions>[] = [
    { balances: [0, 0] },
    { balances: new Uint8Array([1, 2]) },
    { balances: { length: 2, 0: 2 ** 53 - 1, 1: 0 } },
    { threads: 1 },
    { generate: { seed: 0, transfers: 0 } },
    { generate: { seed: 2 ** 32 - 1, transfers: 1 } },
    { auditEvery: 0 },
    { auditEvery: Number.MAX_SAFE_INTEGER },
    { strategy: 'striped', stripes: 1 },
    { strategy: 'striped', stripes: 3 },
    { strategy: 'ordered', stripes: 8 },
    { trace: false, onDeadlock: 'retry', accountName: String, onProgress: () => {} },
    { signal: new AbortController().signal },
    { orders: allocateOrders(0) },
    { orders: ordersOf(2, 0, 0) },
    { orders: ordersOf(0, 1, Number.MAX_SAFE_INTEGER) },
  ]
  const onThreads: readonly Partial<RunOptions>[] = [
    { auditors: 0, gently: false, repairs: false, slowTransfers: 0, warmup: 0 },
    { auditors: 1, gently: true, repairs: true, warmup: 1 },
    { slowTransfers: Number.MAX_SAFE_INTEGER },
  ]
  for (const [call, run] of Object.entries(runs)) {
    const edges: readonly object[] = call === 'runBank' ? [...common, ...onThreads] : common
    for (const edge of edges) {
      it(`let ${call} run with ${inspect(edge, { breakLength: Infinity, depth: 0 })}`, async () => {
        const { generate: _, ...others } = base
        const result = await run({ ...('orders' in edge ? others : base), ...edge })
        assert.deepEqual([result.outcome, result.complete], ['consistent', true])
      })
    }
  }

  it('leave the caller’s balances unchanged', async () => {
    for (const run of Object.values(runs)) {
      const balances = new Float64Array([100, 200, 300])
      const result = await run({ ...base, balances })
      assert.deepEqual([...balances], [100, 200, 300])
      assert.notEqual(result.balances, balances)
    }
  })
})
