/** Process warnings: a manager's reports that have no listener and would otherwise go unseen. */

import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import { LockManager } from '../../src/index.ts'
import { afterTimers, gate, settle, until } from '../waiting.ts'
import { holder, warningsOf } from './tools.ts'

describe('a manager without listeners', { timeout: 10_000 }, () => {
  it('warns of a slow wait', async () => {
    const locks = new LockManager()
    let isWarned = false
    process.once('warning', () => {
      isWarned = true
    })
    const warnings = await warningsOf(async () => {
      const { end } = await holder(locks, 'a')
      const waits = locks.request('a', { warnAfterMs: 1, label: 'w' }, () => {})
      await until(() => isWarned)
      await end()
      await waits
    })
    assert.equal(warnings.length, 1)
    assert.match(
      warnings[0] ?? '',
      /^w has waited for 'a' for \d+ ms \(requested at .*\): 'a' is held by request 1 \(/,
    )
  })

  it('warns of orders that contradict each other', async () => {
    const locks = new LockManager()
    const warnings = await warningsOf(async () => {
      await locks.request('a', () => locks.request('b', () => {}))
      await locks.request('b', () => locks.request('a', () => {}))
    })
    assert.equal(warnings.length, 1)
    assert.match(warnings[0] ?? '', /^Possible deadlock: .* whether or not anything hung\.\n/)
  })

  it('warns of the first suspected deadlock of one line, and then at 10 and 100', async () => {
    const locks = new LockManager({ trackOrder: false })
    const reported = gate()
    const onWarning = ({ message }: Error): void => {
      if (/There were 100/.test(message)) reported.open()
    }
    process.on('warning', onWarning)
    const warnings = await warningsOf(async () => {
      const all: Promise<unknown>[] = []
      await locks.request('job', async () => {
        const ask = async (): Promise<unknown> => await locks.request('job', () => {})
        await settle()
        for (let i = 0; i < 120; i++) all.push(ask())
        await reported.opened
      })
      await Promise.all(all)
    })
    assert.equal(warnings.length, 3)
    assert.match(warnings[2] ?? '', /There were 100 such reports so far/)
    process.off('warning', onWarning)
  })

  it('warns of a few possible deadlocks of one line, though each pair of names is a pair of classes', async () => {
    const locks = new LockManager()
    const warnings = await warningsOf(async () => {
      for (let i = 0; i < 300; i++) {
        const nest = (outer: string, inner: string): Promise<void> =>
          locks.request(outer, () => locks.request(inner, () => {}))
        await nest(`from-${i}`, `to-${i}`)
        await nest(`to-${i}`, `from-${i}`)
      }
    })
    // Bun's stacks of one call site differ now and then.
    if ('Bun' in globalThis) assert.ok(warnings.length < 20)
    else {
      assert.equal(warnings.length, 6)
      assert.match(warnings[5] ?? '', /of these call sites there were 100 more cycles/)
    }
  })

  it('warns a few times for one line of holdings that outlast their warnAfterMs', async () => {
    for (const name of ['account:', 'account']) {
      const warnAfterMs = 1
      const locks = new LockManager({ warnAfterMs, callSites: 'always' })
      const warnings = await warningsOf(async () => {
        const end = gate()
        const hold = (i: number): Promise<void> => locks.request(name + i, () => end.opened)
        const all = Array.from({ length: 120 }, (_, i) => hold(i))
        await settle()
        await afterTimers(warnAfterMs)
        end.open()
        await Promise.all(all)
      })
      assert.equal(warnings.length, name === 'account:' ? 3 : 6)
      assert.match(warnings.at(-1) ?? '', /There were 100 such reports so far/)
    }
  })

  it('warns on the console if the process cannot emit warnings, and no request fails', async () => {
    const locks = new LockManager({ deadlockAfterMs: 1000, trackOrder: false })
    const { emitWarning } = process
    const isWritten = gate()
    const written = mock.method(console, 'warn', isWritten.open)
    process.emitWarning = () => {
      throw new RangeError('not ours')
    }
    try {
      const granted = locks.request('outer', async () => {
        const guard = await locks.acquire('a')
        const nested = locks.request('a', () => 'granted')
        void isWritten.opened.then(() => guard.release())
        return await nested
      })
      assert.equal(await granted, 'granted')
      assert.match(String(written.mock.calls[0]?.arguments[0]), /^LockwiseWarning: Suspected/)
    } finally {
      process.emitWarning = emitWarning
      written.mock.restore()
    }
  })

  it('warns of a guard and a wait that share a context', async () => {
    const locks = new LockManager({ trackOrder: false })
    const warnings = await warningsOf(() =>
      locks.request('outer', async () => {
        const guard = await locks.acquire('a')
        process.once('warning', () => guard.release())
        await locks.request('a', () => {})
      }),
    )
    assert.equal(warnings.length, 1)
    assert.match(warnings[0] ?? '', /^Suspected deadlock/)
  })

  it('warns once of each option that request() does not know, and ignores it as Web IDL does', async () => {
    const locks = new LockManager()
    const request = locks.request.bind(locks) as (...args: unknown[]) => Promise<unknown>
    const warnings = await warningsOf(async () => {
      for (let i = 0; i < 3; i++) {
        assert.equal(await request('a', { timeout: 5, warnAfter: 1 }, () => 'held'), 'held')
      }
      await request('a', Object.create({ timeoutMS: 5 }), () => {})
    })
    assert.deepEqual(
      warnings.map((text) => /no option '(\w+)': did you mean '(\w+)'/.exec(text)?.slice(1)),
      [
        ['timeout', 'timeoutMs'],
        ['warnAfter', 'warnAfterMs'],
        ['timeoutMS', 'timeoutMs'],
      ],
    )
  })

  it('warns of a deadlock only if it has no victim, whose error would report it', async () => {
    for (const deadlockAfterMs of [Number.POSITIVE_INFINITY, 20]) {
      const locks = new LockManager({ deadlockAfterMs, trackOrder: false })
      const warnings = await warningsOf(async () => {
        const self = locks.request('a', () => locks.request('a', { timeoutMs: 50 }, () => {}))
        await assert.rejects(self)
      })
      assert.equal(warnings.length, deadlockAfterMs === 20 ? 0 : 1)
      if (deadlockAfterMs !== 20) assert.match(warnings[0] ?? '', /^Deadlock: a task waits/)
    }
  })
})
