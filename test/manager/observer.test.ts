/** The events of requests, one for each transition. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { LockEvent } from '../../src/core/events.ts'
import { LockManager, shared } from '../../src/index.ts'
import { observe } from '../../src/manager/lock-manager.ts'

/** A manager, and the events that its observer gets, also as lines. */
function observed(): { locks: LockManager; events: LockEvent[]; lines(): string[] } {
  const locks = new LockManager()
  const events: LockEvent[] = []
  observe(locks, (event) => events.push(event))
  return { locks, events, lines: () => events.map(({ kind, id }) => `${kind} ${id}`) }
}

describe('an observer', () => {
  it('sees a free request as requested, granted, released', async () => {
    const { locks, events, lines } = observed()
    const before = Date.now()
    await locks.request(['b', shared('a')], { label: 'one' }, () => {})
    assert.deepEqual(lines(), ['requested 1', 'granted 1', 'released 1'])
    const [event] = events
    assert.ok(event && event.atMs >= before && event.atMs <= Date.now())
    assert.deepEqual(
      { ...event, atMs: 0 },
      {
        kind: 'requested',
        atMs: 0,
        id: 1,
        parent: undefined,
        label: 'one',
        locks: [
          { name: 'a', mode: 'shared', units: 1 },
          { name: 'b', mode: 'exclusive', units: 1 },
        ],
      },
    )
  })

  it('sees a request that waits inside of another', async () => {
    const { locks, events, lines } = observed()
    const guard = await locks.acquire('a')
    const nested = locks.request('b', () => locks.request('a', () => {}))
    await undefined
    await undefined
    guard.release()
    await nested
    assert.deepEqual(lines(), [
      'requested 1',
      'granted 1',
      'requested 2',
      'granted 2',
      'requested 3',
      'waiting 3',
      'released 1',
      'granted 3',
      'released 3',
      'released 2',
    ])
    assert.equal(events.find(({ id }) => id === 3)?.parent, 2)
  })

  it('sees requests that are given up before and after their grant', async () => {
    const { locks, lines } = observed()
    const guard = await locks.acquire('a')
    const controller = new AbortController()
    const { signal } = controller
    const waiting = locks.request('a', { signal }, () => {})
    const granted = locks.request('b', { signal }, () => {})
    controller.abort()
    await Promise.allSettled([waiting, granted])
    assert.deepEqual(lines().slice(2).sort(), [
      'cancelled 2',
      'cancelled 3',
      'granted 3',
      'requested 2',
      'requested 3',
      'waiting 2',
    ])
    guard.release()
  })

  it('sees requests that are refused at once', async () => {
    const { locks, lines } = observed()
    const guard = locks.tryAcquire('a')
    assert.equal(locks.tryAcquire('a'), undefined)
    await locks.request('a', { ifAvailable: true }, () => {})
    await assert.rejects(locks.acquire('a', { ifAvailable: true }))
    assert.deepEqual(lines().slice(2), [
      ...['requested 2', 'cancelled 2', 'requested 3', 'cancelled 3'],
      ...['requested 4', 'cancelled 4'],
    ])
    guard?.release()
  })

  it('sees a stolen lock as lost once, and not as released', async () => {
    const { locks, lines } = observed()
    await locks.acquire('a')
    await locks.request('a', { steal: true }, () => {})
    assert.deepEqual(lines(), [
      ...['requested 1', 'granted 1', 'requested 2', 'lost 1', 'granted 2', 'released 2'],
    ])
  })

  it('receives no more events after its removal', async () => {
    const { locks, lines } = observed()
    observe(locks, undefined)
    await locks.request('a', () => {})
    assert.deepEqual(lines(), [])
  })
})
