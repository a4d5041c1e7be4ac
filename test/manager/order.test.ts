/** Lock orders: a declared one that is enforced, and one that is only observed. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { possibleDeadlockText } from '../../src/explain/index.ts'
import {
  defineOrder,
  exclusive,
  type Guard,
  LockManager,
  LockOrderError,
  LockUsageError,
  type PossibleDeadlockReport,
  shared,
  type WantedLock,
} from '../../src/index.ts'
import { gate, settle } from '../waiting.ts'
import { itIfProved } from './if-proved.ts'
import { holder } from './tools.ts'

/** The possible deadlocks that a program causes. */
async function seen(
  program: (
    locks: LockManager,
    nest: (...names: (string | string[])[]) => Promise<void>,
  ) => Promise<unknown>,
): Promise<PossibleDeadlockReport[]> {
  const locks = new LockManager()
  const reports: PossibleDeadlockReport[] = []
  locks.on('possible', (report) => reports.push(report))
  const nest = async (...names: (string | string[])[]): Promise<void> => {
    const [first, ...rest] = names
    if (first !== undefined) await locks.request(first, () => nest(...rest))
  }
  await program(locks, nest)
  await settle()
  return reports
}

describe('a declared order', { timeout: 60_000 }, () => {
  it('allows ascending nested requests, sorts by rank, and refuses others before they wait', async () => {
    const bank = defineOrder('customer', 'account')
    const steps = await bank.request(
      ['account:2', 'customer:1', 'account:1'],
      async (lock) => lock.names,
    )
    assert.deepEqual(steps, ['customer:1', 'account:1', 'account:2'])
    await bank.request('customer:7', async (_lock, inside) => {
      await inside.request(['account:1', 'account:2'], async () => {
        await assert.rejects(
          bank.request('account:3', () => 'never'),
          (error) => {
            assert.ok(error instanceof LockOrderError)
            assert.match(
              error.message,
              /'account:3' was requested while 'account:1' is held by request \d+ in request \d+ \(exclusively for \d+ ms, requested at .*order\.test.*\), against the declared order \(customer < account\)/,
            )
            assert.match(
              error.message,
              /take both in one request; or, if the request is not part of .*, make it with detached: true$/,
            )
            return true
          },
        )
        assert.throws(() => bank.tryAcquire('customer:1'), LockOrderError)
        await assert.rejects(bank.acquire('customer:1'), LockOrderError)
        // No code here waits for the detached request, so it holds only what it requested itself.
        await bank.request('customer:9', { detached: true }, (_other, beside) =>
          (beside as unknown as LockManager).request('account:9', () => 'detached'),
        )
      })
    })
    await bank.request('account:1', () => 'free again')
    await assert.rejects(
      bank.request('nobody:1' as never, () => 'never'),
      LockUsageError,
    )
    assert.deepEqual(await bank.query(), { held: [], pending: [] })
  })

  it('must name each class once', () => {
    assert.throws(() => defineOrder(), LockUsageError)
    assert.throws(() => defineOrder('a', 'a'), LockUsageError)
    assert.throws(() => defineOrder('a:b'), LockUsageError)
  })

  it('is refused with a short message that shows it, if it is invalid', () => {
    const throwing = {
      toString() {
        throw new Error('toString')
      },
    }
    const { proxy, revoke } = Proxy.revocable([], {})
    revoke()
    const long = 'x'.repeat(100_000)
    const cases: [order: unknown, message: RegExp][] = [
      [5, /^a declared order must be an array of classes, not 5$/],
      [null, /not null$/],
      [long, /not 'x{40}…'$/],
      [Symbol(long), /not Symbol\(x+…$/],
      [Object.create(null), /not an object$/],
      [throwing, /not an object$/],
      [proxy, /not an object$/],
      [[Object.create(null)], /before its ':', not an object$/],
      [[throwing], /before its ':', not an object$/],
      [[`${long}:`], /before its ':', not 'x{40}…'$/],
      [[long, long], /^'x{40}…' occurs twice in the declared order: name each class once$/],
    ]
    for (const [order, message] of cases) {
      assert.throws(
        () => new LockManager({ order: order as string[] }),
        (error) => {
          assert.ok(error instanceof LockUsageError)
          assert.match(error.message, message)
          assert.ok(error.message.length < 200)
          return true
        },
      )
    }
  })

  it('is abbreviated in errors, as the names are', async () => {
    const classes = Array.from({ length: 1000 }, (_, i) => `${i}${'x'.repeat(1000)}`)
    const locks = new LockManager({ order: classes })
    const rejection = (names: string): Promise<Error> =>
      locks.request(names, () => assert.fail('called')).catch((error: Error) => error)
    const unknown = await rejection('y'.repeat(60_000))
    assert.ok(unknown instanceof LockUsageError)
    await locks.request(classes[7] as string, async () => {
      const against = await rejection(classes[3] as string)
      assert.ok(against instanceof LockOrderError)
      for (const { message } of [unknown, against]) assert.ok(message.length < 3000, message)
    })
  })

  it('names the holder in its error, and advises how to request independent work', async () => {
    const bank = defineOrder('customer', 'account')
    const label = 'transfer'
    await bank.request('account:1', { label }, async () => {
      await assert.rejects(
        bank.request('customer:7', () => 'never'),
        /'account:1' is held by transfer \(exclusively for .* at .*order\.test.*'customer:7' first; or.*detached: true$/,
      )
      // The code of an owner belongs to the callback in which it runs.
      await assert.rejects(
        bank.request('customer:7', { owner: {} }, () => 'never'),
        /'account:1' is held by transfer .*, or take 'customer:7' first$/,
      )
    })
  })

  it('advises no order if a task requests a lock again that it holds', async () => {
    const bank = defineOrder('customer', 'account')
    const again = (mode: 'exclusive' | 'shared', advice: RegExp): Promise<void> =>
      bank.request('account:1', { mode }, async () => {
        await assert.rejects(
          bank.request('account:1', () => 'never'),
          advice,
        )
      })
    await again('exclusive', /not re-entrant; do not ask for 'account:1' again while holding it$/)
    await again('shared', /ask for 'account:1' in mode 'exclusive' from the start/)
  })
})

describe('a recorded order', { timeout: 60_000 }, () => {
  it('is reported when it contradicts itself, with both call sites, though nothing hung', async () => {
    // Awaited, because in a tail call JavaScriptCore replaces the caller's frame.
    const reports = await seen(async (locks) => {
      await locks.request('customer:1', { label: 'open' }, async () => {
        await locks.request('account:1', () => {})
      })
      await locks.request('account:2', { label: 'close' }, async () => {
        await locks.request('customer:2', () => {})
      })
    })
    assert.equal(reports.length, 1)
    const { cycle } = reports[0] as PossibleDeadlockReport
    assert.deepEqual(
      cycle.map(({ held, wanted, label }) => [held, wanted, label]),
      [
        ['account', 'customer', 'close'],
        ['customer', 'account', 'open'],
      ],
    )
    for (const { heldAt = '', wantedAt = '' } of cycle) {
      assert.match(heldAt, /order\.test/)
      assert.match(wantedAt, /order\.test/)
    }
    const text = possibleDeadlockText(reports[0] as PossibleDeadlockReport)
    assert.match(
      text,
      /close: 'account', then 'customer' while holding it \('account:2', then 'customer:2'\)/,
    )
    assert.match(text, /in one request, or in the same order everywhere/)
  })

  it('ignores a task that requests its own lock again, by itself or with others', async () => {
    const reports = await seen(async (locks) => {
      const again = (wanted: string[]): Promise<void> =>
        locks.request('a', async () => {
          await locks.request('b', async () => {
            const refused = locks.request(wanted, { timeoutMs: 0 }, () => {})
            await assert.rejects(refused, { code: 'LOCK_TIMEOUT' })
          })
        })
      await again(['a'])
      await again(['a', 'c'])
    })
    assert.deepEqual(reports, [])
  })

  it('still reports other tasks in that order', async () => {
    const reports = await seen(async (locks, nest) => {
      await locks.request('a', async () => {
        await locks.request('b', async () => {
          await locks.request('a', { timeoutMs: 0 }, () => {}).catch(() => {})
        })
      })
      await nest('b', 'a')
    })
    assert.equal(reports.length, 1)
  })

  it('lets a listener abort the request at once', async () => {
    const locks = new LockManager()
    const controller = new AbortController()
    locks.on('possible', () => controller.abort(new Error('contradicts the order')))
    await locks.request('a', async () => locks.request('b', () => {}))
    const { end: free } = await holder(locks, 'a')
    await assert.rejects(
      locks.request('b', () => locks.request('a', { signal: controller.signal }, () => 'never')),
      /contradicts the order/,
    )
    await free()
    assert.deepEqual(await locks.query(), { held: [], pending: [] })
  })

  it('compares names within one class, and follows longer cycles', async () => {
    const two = await seen(async (_locks, nest) => {
      await nest('a:1', 'a:2')
      await nest('a:2', 'a:1')
    })
    assert.equal(two.length, 1)
    const three = await seen(async (_locks, nest) => {
      await nest('a', 'b')
      await nest('b', 'c')
      await nest('c', 'a')
      await nest('c', 'a')
    })
    assert.deepEqual(
      three[0]?.cycle.map(({ held }) => held),
      ['c', 'a', 'b'],
    )
    assert.equal(three.length, 1)
  })

  it('does not contradict itself under a common lock, in one request, shared, or detached', async () => {
    const none = await seen(async (locks, nest) => {
      await nest('gate', 'a', 'b')
      await nest('gate', 'b', 'a')
      await nest(['c', 'd'])
      await nest(['d', 'c'])
      const reads = (first: string, second: string): Promise<unknown> =>
        locks.request(first, { mode: 'shared' }, () =>
          locks.request(second, { mode: 'shared' }, () => {}),
        )
      await reads('e', 'f')
      await reads('f', 'e')
      await nest('g', 'h')
      await locks.request('h', () => void locks.request('g', { detached: true }, () => {}))
    })
    assert.deepEqual(none, [])
    const later = await seen(async (_locks, nest) => {
      await nest('gate', 'a', 'b')
      await nest('gate', 'b', 'a')
      await nest('a', 'b')
      await nest('b', 'a')
    })
    assert.equal(later.length, 1)
  })

  it('is not recorded for a request with more than 100 locks around it', async () => {
    const deep = async (around: number): Promise<number> => {
      const gates = Array.from({ length: around - 1 }, (_, i) => `gate:${i}`)
      const reports = await seen(async (_locks, nest) => {
        await nest(gates, 'a', 'b')
        await nest('b', 'a')
      })
      return reports.length
    }
    assert.equal(await deep(100), 1)
    assert.equal(await deep(101), 0)
    const names = Array.from({ length: 1000 }, (_, i) => `level ${i}`)
    assert.deepEqual(await seen((_locks, nest) => nest(...names)), [])
    const guards = await seen(async (locks, nest) => {
      await locks.request('outer', async () => {
        const held = await Promise.all(names.map((name) => locks.acquire(name)))
        await locks.request('a', () => {})
        for (const guard of held) guard.release()
      })
      await nest('a', 'outer')
    })
    assert.deepEqual(guards, [])
  })

  it('includes the guards of a context that are taken one after the other', async () => {
    const reports = await seen(async (locks, nest) => {
      const helper = async (name: string): Promise<Guard> => await locks.acquire(name)
      await locks.request('outer', async () => {
        const guard = await helper('a')
        await Promise.all([locks.request('b', () => {}), locks.request('c', () => {})])
        guard.release()
      })
      await nest('b', 'a')
      await nest('c', 'a')
    })
    assert.deepEqual(
      reports.map(({ cycle }) => cycle.map(({ held }) => held)),
      [
        ['b', 'a'],
        ['c', 'a'],
      ],
    )
  })

  itIfProved('omits the guards of the branches of a context', async () => {
    const reports = await seen(async (locks) => {
      const use = async (
        name: string,
        begin: Promise<void>,
        held: () => void,
        end: Promise<void>,
      ): Promise<void> => {
        await begin
        const guard = await locks.acquire(name)
        held()
        await end
        guard.release()
      }
      const both = (first: string, second: string): Promise<unknown> => {
        const [one, two] = [gate(), gate()]
        return Promise.all([
          use(first, settle(), one.open, two.opened),
          use(second, one.opened, two.open, two.opened),
        ])
      }
      await locks.request('outer', () => both('a', 'b'))
      await locks.request('another', () => both('b', 'a'))
    })
    assert.deepEqual(reports, [])
  })

  it('omits a guard that no code has yet', async () => {
    const reports = await seen(async (locks) => {
      const cross = async (first: string, second: string): Promise<unknown> =>
        locks.request(`${first} and ${second}`, async () => {
          const guards: Promise<Guard>[] = [locks.acquire(first)]
          await undefined
          guards.push(locks.acquire(second))
          for (const guard of await Promise.all(guards)) guard.release()
        })
      await cross('a', 'b')
      await cross('b', 'a')
    })
    assert.deepEqual(reports, [])
  })

  it('combines only modes that occurred together', async () => {
    const locks = new LockManager()
    const reports: unknown[] = []
    locks.on('possible', (report) => reports.push(report))
    const nest = (outer: WantedLock<string>, inner: WantedLock<string>): Promise<void> =>
      locks.request(outer, (_lock, scope) => scope.request(inner, () => {}))
    await nest(exclusive('a'), shared('b'))
    await nest(shared('a'), exclusive('b'))
    await nest(shared('b'), shared('a'))
    assert.deepEqual(reports, [])
    await nest(exclusive('b'), shared('a'))
    assert.equal(reports.length, 1)
  })
})
