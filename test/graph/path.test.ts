/** Paths in a directed graph, compared with the simplest search for them, in random graphs. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { canReach, findPath, isJoined, reachable } from '../../src/graph/path.ts'

const NODES = 7

/** The edges of each node; none to itself, as in a wait-for graph. */
const graphs = fc
  .array(fc.uniqueArray(fc.nat(NODES - 1), { maxLength: 3 }), {
    minLength: NODES,
    maxLength: NODES,
  })
  .map((rows) => rows.map((row, node) => row.filter((other) => other !== node)))

/** The nodes reachable in one step or more. */
function reachedFrom(graph: number[][], start: number): Set<number> {
  const reached = new Set(graph[start])
  for (const node of reached) for (const other of graph[node] ?? []) reached.add(other)
  return reached
}

function backwards(graph: number[][]): number[][] {
  return graph.map((_, node) => graph.flatMap((row, from) => (row.includes(node) ? [from] : [])))
}

describe('paths in a graph', () => {
  const ends = fc.uniqueArray(fc.nat(NODES - 1), { minLength: 1, maxLength: 2 })

  it('are the shortest, and found whenever they exist', () => {
    fc.assert(
      fc.property(graphs, fc.nat(NODES - 1), ends, (graph, start, wanted) => {
        const next = (node: number): number[] => graph[node] ?? []
        const isEnd = (node: number): boolean => wanted.includes(node)
        const path = findPath(start, isEnd, next)
        assert.equal(path !== undefined, [...reachedFrom(graph, start)].some(isEnd))
        if (path === undefined) return
        assert.equal(path[0], start)
        assert.ok(isEnd(path.at(-1) as number))
        for (const [i, node] of path.slice(1).entries()) {
          assert.ok(next(path[i] as number).includes(node))
        }
        let steps = 0
        let front = new Set([start])
        do {
          front = new Set([...front].flatMap(next))
          steps++
        } while (![...front].some(isEnd))
        assert.equal(path.length, steps + 1)
      }),
    )
  })

  it('are exactly those that each query about them reports', () => {
    fc.assert(
      fc.property(graphs, fc.nat(NODES - 1), ends, (graph, start, wanted) => {
        const next = (node: number): number[] => graph[node] ?? []
        const before = backwards(graph)
        const previous = (node: number): number[] => before[node] ?? []
        const reached = reachedFrom(graph, start)
        const isReached = wanted.some((node) => reached.has(node))
        if (!wanted.includes(start)) {
          assert.equal(isJoined(start, wanted, next, previous), isReached)
        }
        const known = new Map<number, boolean>()
        for (const node of [start, ...reached, start]) {
          const isThere = [node, ...reachedFrom(graph, node)].some((at) => wanted.includes(at))
          assert.equal(
            canReach(node, (at) => wanted.includes(at), next, known),
            isThere,
          )
        }
        assert.deepEqual([...reachable([start], next)].sort(), [...reached.add(start)].sort())
      }),
      { numRuns: 1000 },
    )
  })

  it('are searched from both ends, until one of the searches ends', () => {
    let looked = 0
    const chain =
      (ends: number) =>
      (node: number): number[] => {
        looked++
        return node === ends ? [] : [node + Math.sign(ends)]
      }
    // Ahead all nodes are positive, behind all are negative, so the searches never meet.
    for (const [ahead, behind] of [
      [100_000, -3],
      [3, -100_000],
    ] as const) {
      looked = 0
      assert.equal(isJoined(1, [-1], chain(ahead), chain(behind)), false)
      assert.ok(looked <= 8, `${looked} nodes`)
    }
  })

  it('may be as long as memory allows', () => {
    const length = 100_000
    const next = (node: number): number[] => [(node + 1) % length]
    assert.equal(findPath(0, (node) => node === 0, next)?.length, length + 1)
    assert.equal(reachable([0], next).size, length)
  })
})
