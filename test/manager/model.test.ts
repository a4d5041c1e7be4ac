/**
 * Random programs against a naive model: requests of many names in both modes, with aborts, steals and
 * ends, one after the other; after each, who holds and who waits is compared.
 *
 * The model keeps one list of requests. One holds when nobody before it in the list that has a name in
 * common stands in its way.
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { LockManager, type LockMode, type WantedLock } from '../../src/index.ts'
import { gate, settle } from './tools.ts'

interface Asked {
  readonly id: number
  readonly wants: ReadonlyMap<string, LockMode>
  readonly end: () => void
  readonly controller: AbortController
}

/** Those of the model who hold: each of whose names nobody before it has in the way. */
function holdersIn(list: readonly Asked[]): Asked[] {
  const inTheWay = (a: Asked, b: Asked): boolean =>
    [...a.wants].some(
      ([name, mode]) =>
        b.wants.has(name) && (mode === 'exclusive' || b.wants.get(name) === 'exclusive'),
    )
  return list.filter((asked, i) => !list.slice(0, i).some((before) => inTheWay(before, asked)))
}

const name = fc.constantFrom('a', 'b', 'c', 'd')
const wants = fc.uniqueArray(
  fc.record({ name, mode: fc.constantFrom<LockMode>('exclusive', 'shared') }),
  {
    minLength: 1,
    maxLength: 3,
    selector: (want) => want.name,
  },
)
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('ask' as const), wants }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('end' as const), which: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('abort' as const), which: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('steal' as const), name }) },
)

describe('the manager and a naive model', { timeout: 300_000 }, () => {
  it('agree on who holds and who waits, whatever happens', async (t) => {
    const seed = Date.now() % 2 ** 31
    t.diagnostic(`seed ${seed}`)
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
        const locks = new LockManager({ places: 'never' })
        let list: Asked[] = []
        const settled: Promise<unknown>[] = []
        let ids = 0
        const ask = (wanted: readonly WantedLock<string>[], steal: boolean): void => {
          const [end, controller] = [gate(), new AbortController()]
          const asked: Asked = {
            id: ++ids,
            wants: new Map(wanted.map((want) => [want.name, want.mode])),
            end: end.open,
            controller,
          }
          const how = steal ? { steal } : { signal: controller.signal }
          const done = locks.request(wanted, { ...how, label: `${asked.id}` }, () => end.opened)
          settled.push(done.catch(() => {}))
          if (!steal) {
            list.push(asked)
            return
          }
          const robbed = holdersIn(list).filter(({ wants: has }) =>
            wanted.some((w) => has.has(w.name)),
          )
          list = [asked, ...list.filter((other) => !robbed.includes(other))]
        }
        for (const one of steps) {
          const holders = holdersIn(list)
          if (one.do === 'ask') ask(one.wants, false)
          else if (one.do === 'steal') ask([{ name: one.name, mode: 'exclusive' }], true)
          else {
            const some =
              one.do === 'end' ? holders : list.filter((asked) => !holders.includes(asked))
            const chosen = some[one.which % Math.max(1, some.length)]
            if (chosen === undefined) continue
            if (one.do === 'end') chosen.end()
            else chosen.controller.abort()
            list = list.filter((asked) => asked !== chosen)
          }
          await settle()
          const { held, pending } = await locks.query()
          const labels = (of: readonly { label: string }[]): string[] =>
            [...new Set(of.map(({ label }) => label))].sort()
          const expected = holdersIn(list)
          assert.deepEqual(labels(held), expected.map(({ id }) => `${id}`).sort())
          assert.deepEqual(
            labels(pending),
            list
              .filter((asked) => !expected.includes(asked))
              .map(({ id }) => `${id}`)
              .sort(),
          )
        }
        while (list.length > 0) {
          const holders = holdersIn(list)
          for (const holder of holders) holder.end()
          list = list.filter((asked) => !holders.includes(asked))
          await settle()
        }
        await Promise.all(settled)
        assert.deepEqual(await locks.query(), { held: [], pending: [] })
      }),
      { numRuns: 400, seed },
    )
  })
})
