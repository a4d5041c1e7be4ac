/** The order graph: the cycles it reports, compared with all paths, and its maximum cost. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { WantedLock } from '../../src/core/modes.ts'
import { cycleThrough, type OrderEdge } from '../../src/graph/order-cycle.ts'
import { MAX_EDGES, OrderGraph, type WantedBy } from '../../src/graph/order-graph.ts'
import { exclusive, shared } from '../../src/index.ts'

const somebody: WantedBy = {
  label: () => 'somebody',
  wantedAt: () => ({}),
  heldAt: () => ({}),
}

function names(cls: string, count: number, from = 0): WantedLock<string>[] {
  return Array.from({ length: count }, (_, i) => exclusive(`${cls}:${from + i}`))
}

/** Records one request. Returns the number of cycles that it closed. */
function see(
  graph: OrderGraph,
  held: readonly WantedLock<string>[],
  wanted: readonly WantedLock<string>[],
): number {
  const isKnown = graph.isKnown(held, wanted)
  const before = graph.size
  const { length } = graph.record(held, wanted, somebody)
  if (isKnown) assert.deepEqual([length, graph.size], [0, before], 'what is known changes nothing')
  return length
}

describe('a cycle in the order graph', () => {
  const NODES = ['a', 'b', 'c', 'd', 'e']
  const node = fc.constantFrom(...NODES)
  const edges = fc.array(
    fc
      .record({
        held: node,
        wanted: node,
        gates: fc.uniqueArray(fc.constantFrom('g', 'h', ...NODES), { maxLength: 3 }),
        heldShared: fc.boolean(),
        wantedShared: fc.boolean(),
      })
      .filter(({ held, wanted }) => held !== wanted)
      .map(({ gates, ...edge }): OrderEdge => {
        const others = gates.filter((gate) => gate !== edge.held)
        const { held, wanted } = edge
        const rest = { heldAs: held, wantedAs: wanted, label: '' }
        return { ...edge, ...rest, gates: new Set(others) }
      }),
    { minLength: 1, maxLength: 9 },
  )

  /** Whether all requests on it could wait for each other. */
  function isCycle(path: readonly OrderEdge[]): boolean {
    const isClosed = path.every((edge, i) => {
      const next = path[(i + 1) % path.length] as OrderEdge
      return edge.wanted === next.held && !(edge.wantedShared && next.heldShared)
    })
    const [first] = path
    const isSimple = new Set(path.map(({ held }) => held)).size === path.length
    const gates = [...(first?.gates ?? [])].filter((gate) => path.every((e) => e.gates.has(gate)))
    return isClosed && isSimple && gates.length === 0
  }

  /** All paths that begin with `path` and visit no node twice. */
  function* allPaths(path: OrderEdge[], all: readonly OrderEdge[]): Generator<OrderEdge[]> {
    yield path
    for (const edge of all) {
      if (path.at(-1)?.wanted !== edge.held || path.some(({ held }) => held === edge.held)) continue
      yield* allPaths([...path, edge], all)
    }
  }

  const search = (all: OrderEdge[]): OrderEdge[] | undefined =>
    cycleThrough(all[0] as OrderEdge, (from) => [all.filter(({ held }) => held === from)], {
      steps: 10_000,
    })

  it('is a cycle, and the shortest', () => {
    fc.assert(
      fc.property(edges, (all) => {
        const found = search(all)
        if (found === undefined) return
        assert.equal(found[0], all[0])
        assert.ok(isCycle(found))
        for (const path of allPaths([all[0] as OrderEdge], all)) {
          if (isCycle(path)) assert.ok(path.length >= found.length)
        }
      }),
      { numRuns: 3000 },
    )
  })

  it('is found whenever one exists, if no gate prevents it', () => {
    const ungated = edges.map((all) => all.map((edge) => ({ ...edge, gates: new Set<string>() })))
    fc.assert(
      fc.property(ungated, (all) => {
        const isOne = [...allPaths([all[0] as OrderEdge], all)].some(isCycle)
        assert.equal(search(all) !== undefined, isOne)
      }),
      { numRuns: 3000 },
    )
  })
})

describe('a search in the order graph', () => {
  it('counts each comparison of a gate as a step', () => {
    const gates = new Set(Array.from({ length: 100 }, (_, i) => `gate ${i}`))
    const edge = (from: number, to: number): OrderEdge => {
      const [held, wanted] = [`node ${from}`, `node ${to}`]
      const rest = { heldAs: held, wantedAs: wanted, label: '' }
      return { held, wanted, ...rest, gates, heldShared: false, wantedShared: false }
    }
    let looks = 0
    const edgesFrom = (node: string): OrderEdge[][] => {
      looks++
      const at = Number(node.slice('node '.length))
      return [[edge(at, at + 1), edge(at, at + 2)]]
    }
    assert.equal(cycleThrough(edge(0, 1), edgesFrom, { steps: 10_000 }), undefined)
    assert.ok(looks <= 100, `${looks} looks`)
  })
})

describe('the order graph', () => {
  it('treats a lock as a gate while every edge holds it exclusively', () => {
    const graph = new OrderGraph()
    const [gate, other] = [exclusive('gate'), exclusive('other')]
    assert.equal(see(graph, [gate, other, exclusive('a:1')], [exclusive('b:1')]), 0)
    assert.equal(see(graph, [gate, exclusive('b:1')], [exclusive('a:2')]), 0)
    assert.equal(see(graph, [shared('gate'), other, exclusive('a:1')], [exclusive('b:1')]), 1)
  })

  it('ignores locks of the held class as gates between classes', () => {
    const graph = new OrderGraph()
    assert.equal(see(graph, names('a', 2), [exclusive('b')]), 0)
    assert.equal(see(graph, [exclusive('b')], names('a', 1)), 1)
  })

  it('records the class where a request holds and wants many names', () => {
    const graph = new OrderGraph()
    assert.equal(see(graph, names('a', 500), names('b', 500)), 0)
    assert.equal(graph.size, 1)
    assert.equal(see(graph, [exclusive('b:77')], [exclusive('a:3')]), 1)
    const mixed = names('c', 40).map(({ name }, i) => (i % 2 ? shared(name) : exclusive(name)))
    see(graph, mixed, names('d', 1))
    assert.equal(graph.size, 4, 'one edge for each pair of modes')
  })

  it('compares a limited number of pairs for each request', () => {
    const graph = new OrderGraph()
    const [held, wanted] = [names('a', 1000), names('a', 1000, 1000)]
    see(graph, held, wanted)
    assert.equal(graph.size, 4096)
    assert.ok(graph.isKnown(held, wanted))
  })

  it('reports the first of similar cycles, and then at 10, 100 and 1,000 more, with their number', () => {
    for (const wanted of [{ wantedAt: 'at transfer (bank.js:1:2)\nat main' }, {}]) {
      const graph = new OrderGraph()
      const wisher = { ...somebody, wantedAt: () => wanted }
      const similar: number[] = []
      const accounts = names('account', 60)
      for (const a of accounts) {
        for (const b of accounts) {
          if (a === b) continue
          for (const report of graph.record([a], [b], wisher)) similar.push(report.similar)
        }
      }
      assert.deepEqual(similar, [0, 10, 100, 1000])
    }
  })

  it('distinguishes cycles by class and call site', () => {
    const graph = new OrderGraph()
    const cross = (cls: string, wantedAt: string, from: number): number => {
      const wisher = { ...somebody, wantedAt: () => ({ wantedAt }) }
      const [a, b] = names(cls, 2, from) as [WantedLock<string>, WantedLock<string>]
      graph.record([a], [b], wisher)
      return graph.record([b], [a], wisher).length
    }
    assert.equal(cross('account', 'at one', 0), 1)
    assert.equal(cross('account', 'at one', 10), 0)
    assert.equal(cross('customer', 'at one', 0), 1)
    assert.equal(cross('account', 'at another', 20), 1)
  })

  it('does not store long names', () => {
    const graph = new OrderGraph()
    const [long, short] = [exclusive('x'.repeat(257)), exclusive('y')]
    assert.ok(graph.isKnown([long], [short]) && graph.isKnown([short], [long]))
    assert.ok(!graph.isKnown([exclusive('x'.repeat(256))], [short]))
  })

  it('follows a path of any length, and stops growing at its limit', () => {
    const graph = new OrderGraph()
    for (let i = 0; i < MAX_EDGES + 10; i++) {
      assert.equal(see(graph, [exclusive(`node:${i}`)], [exclusive(`node:${i + 1}`)]), 0)
    }
    assert.equal(graph.size, MAX_EDGES)
    const long = new OrderGraph()
    for (let i = 0; i < 10_000; i++) {
      see(long, [exclusive(`node:${i}`)], [exclusive(`node:${i + 1}`)])
    }
    const [report] = long.record([exclusive('node:10000')], [exclusive('node:0')], somebody)
    assert.equal(report?.cycle.length, 10_001)
  })
})
