/** How similar reports are counted. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SimilarReports } from '../../src/core/similar.ts'

describe('similar reports', () => {
  const times = (count: number, work: (i: number) => number): number[] =>
    Array.from({ length: count }, (_, i) => work(i))

  it('have the same lines and classes', () => {
    const similar = new SimilarReports(100)
    assert.deepEqual(
      times(3, () => similar.add('at one', 'a')),
      [0, 1, 2],
    )
    assert.equal(similar.add('at one', 'b'), 0)
    assert.equal(similar.add('at another', 'a'), 0)
  })

  it('have the same lines where these meet many classes', () => {
    const similar = new SimilarReports(100)
    assert.deepEqual(
      times(8, (i) => similar.add('at one', `${i}`)),
      [0, 0, 0, 0, 4, 5, 6, 7],
    )
    assert.equal(similar.add('at one', '0'), 1)
    assert.equal(similar.add('at another', '8'), 0)
  })

  it('are distinguished by more classes where lines are not known', () => {
    const similar = new SimilarReports(1000)
    assert.deepEqual(times(102, (i) => similar.add('', `${i}`)).slice(99), [0, 100, 101])
  })

  it('include all kinds beyond the greatest number', () => {
    const similar = new SimilarReports(10)
    const counts = times(30, (i) => similar.add(`at line ${i}`, 'a'))
    assert.deepEqual(counts.slice(0, 10), Array(10).fill(0))
    assert.deepEqual(
      counts.slice(10),
      times(20, (i) => i),
    )
    assert.equal(similar.add('at line 0', 'a'), 1)
  })
})
