/** Circles in a directed graph, against the plainest ways to say the same, in random graphs. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  canReach,
  findCycle,
  findPath,
  isJoined,
  nodesBetween,
  nodesOnCycles,
} from '../../src/explain/cycle.ts'

const NODES = 7

/** From each node to others; not to itself, as in a wait-for graph. */
const graphs = fc
  .array(fc.uniqueArray(fc.nat(NODES - 1), { maxLength: 3 }), {
    minLength: NODES,
    maxLength: NODES,
  })
  .map((rows) => rows.map((row, node) => row.filter((other) => other !== node)))

/** What can be reached in one step or more. */
function reachedFrom(graph: number[][], start: number): Set<number> {
  const reached = new Set(graph[start])
  for (const node of reached) for (const other of graph[node] ?? []) reached.add(other)
  return reached
}

function backwards(graph: number[][]): number[][] {
  return graph.map((_, node) => graph.flatMap((row, from) => (row.includes(node) ? [from] : [])))
}

describe('circles', () => {
  it('are found where there are some, the shortest through a node', () => {
    fc.assert(
      fc.property(graphs, fc.nat(NODES - 1), (graph, start) => {
        const next = (node: number): number[] => graph[node] ?? []
        const cycle = findCycle(start, next)
        assert.equal(cycle !== undefined, reachedFrom(graph, start).has(start))
        if (cycle === undefined) return
        assert.equal(cycle[0], start)
        for (const [i, node] of cycle.entries()) {
          assert.ok(next(node).includes(cycle[(i + 1) % cycle.length] as number))
        }
        let steps = 0
        let front = new Set([start])
        do {
          front = new Set([...front].flatMap(next))
          steps++
        } while (!front.has(start))
        assert.equal(cycle.length, steps)
      }),
    )
  })

  it('are no more and no less than what each question about them says', () => {
    const ends = fc.uniqueArray(fc.nat(NODES - 1), { minLength: 1, maxLength: 2 })
    fc.assert(
      fc.property(graphs, fc.nat(NODES - 1), ends, (graph, start, wanted) => {
        const next = (node: number): number[] => graph[node] ?? []
        const before = backwards(graph)
        const previous = (node: number): number[] => before[node] ?? []
        const isEnd = (node: number): boolean => wanted.includes(node)
        const reached = reachedFrom(graph, start)
        const isReached = [...reached].some(isEnd)
        assert.equal(findPath(start, isEnd, next) !== undefined, isReached)
        assert.equal(canReach(start, isEnd, next, new Set()), isReached || isEnd(start))
        if (!isEnd(start)) assert.equal(isJoined(start, wanted, next, previous), isReached)
        const between = [start, ...reached].filter(
          (node) => isEnd(node) || [...reachedFrom(graph, node)].some(isEnd),
        )
        assert.deepEqual(
          [...nodesBetween(start, wanted, next, previous)].sort(),
          [...new Set(between)].sort(),
        )
        const circular = graph
          .map((_, node) => node)
          .filter((node) => reachedFrom(graph, node).has(node))
        assert.deepEqual([...nodesOnCycles(graph.keys(), next)].sort(), circular)
      }),
      { numRuns: 1000 },
    )
  })

  it('may be as long as memory allows', () => {
    const length = 100_000
    const next = (node: number): number[] => [(node + 1) % length]
    assert.equal(findCycle(0, next)?.length, length)
    assert.equal(nodesOnCycles([0], next).size, length)
  })
})
