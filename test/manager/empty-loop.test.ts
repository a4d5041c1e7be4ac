/** Requests that wait when the event loop runs empty. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { runAlone } from './child.ts'

const FORGOTTEN = `
  const { locks } = lockwise
  async function main() {
    await locks.acquire('a', { label: 'step 1' })
    await locks.request('a', { label: 'step 2' }, () => {})
  }`

/** The number of reports of an empty event loop. */
function warnings(stderr: string): number {
  return stderr.split('LockwiseWarning: The event loop has run empty').length - 1
}

describe('an empty event loop', { timeout: 60_000 }, () => {
  it('causes a warning that names waiters and root holders by label, age and call site', () => {
    const { stderr, status } = runAlone(`${FORGOTTEN}\nmain()`)
    assert.equal(status, 0)
    assert.equal(warnings(stderr), 1)
    assert.match(
      stderr,
      /step 2 has waited for 'a' for \d+ ms \(requested at main \(.*:6:\d+\)\): 'a' is held by step 1 \(exclusively for \d+ ms, requested at main \(.*:5:\d+\); 1 request waits for it\)/,
    )
  })

  it('causes a warning before the exit for a top-level await that never settles', () => {
    const { stderr, status } = runAlone(`${FORGOTTEN}\nawait main()`)
    assert.equal(status, 13)
    assert.equal(warnings(stderr), 1)
  })

  it('causes a warning with distant deadlines, and once for the same waits', () => {
    const { stderr, stdout } = runAlone(`${FORGOTTEN}
      main()
      let times = 0
      process.on('beforeExit', () => {
        console.log('empty')
        if (++times < 3) setTimeout(() => {}, 1)
        if (times === 2) void locks.request('a', { label: 'step 3' }, () => {})
      })`)
    assert.equal(stdout, 'empty\nempty\nempty\n')
    assert.equal(warnings(stderr), 2)
    assert.match(
      stderr,
      /2 requests wait for locks: nothing will ever grant them\.\n.*step 2.*\n.*step 3/,
    )
  })

  it('leaves a deadlock without a victim if it is proved only then, with deadlockAfterMs: Infinity', () => {
    const { stdout } = runAlone(`
      const locks = new lockwise.LockManager({ deadlockAfterMs: Infinity })
      for (const kind of ['suspected', 'deadlock'])
        locks.on(kind, ({ hasVictim }) => console.log(kind, hasVictim))
      const reported = new Promise((resolve) => locks.on('suspected', resolve))
      const work = (own, other) => locks.request(own, async () => {
        const wanted = locks.request(other, () => {}).then(() => {})
        await reported
        await wanted
      }).catch((error) => console.log(error.name))
      work('a', 'b')
      work('b', 'a')`)
    assert.equal(stdout, 'suspected false\ndeadlock false\n')
  })

  it('causes no warning if no request waits, or guards are only held', () => {
    const { stderr } = runAlone(`
      const { locks } = lockwise
      globalThis.guard = await locks.acquire('a')
      const second = locks.request('b', () => {})
      await locks.request('b', () => {})
      await second`)
    assert.equal(stderr, '')
  })

  it('causes a second check of a suspected deadlock, whose victim is rejected', () => {
    const { stderr, stdout } = runAlone(`
      const { LockManager } = lockwise
      const locks = new LockManager({ deadlockAfterMs: 20 })
      // This timer is set after that of the first check, which has the same length.
      const checked = new Promise((resolve) => locks.on('suspected', () => setTimeout(resolve, 20)))
      locks.on('suspected', () => console.log('suspected'))
      await locks.request('a', async () => {
        await null
        const started = (async () => await locks.request('a', () => {}))()
        await checked
        await started
      }).catch((error) => console.log(error.code))`)
    assert.equal(stdout, 'suspected\nLOCK_DEADLOCK\n')
    assert.equal(stderr, '')
  })

  it('causes a second check of a deadlock that stays suspected, and then the warning', () => {
    const { stderr, stdout } = runAlone(`
      const { LockManager } = lockwise
      const locks = new LockManager({ deadlockAfterMs: 20 })
      locks.on('suspected', () => console.log('suspected'))
      locks.request('a', async () => {
        const nested = locks.request('a', () => {})
        nested.catch(console.log)
        await nested
      })`)
    assert.equal(stdout, 'suspected\n')
    assert.match(stderr, /1 request waits for locks: nothing will ever grant it/)
  })

  it('causes a few lines for many waits behind one holder', () => {
    const { stderr } = runAlone(`
      const { LockManager } = lockwise
      const locks = new LockManager({ longWaitMs: Infinity })
      void locks.request('a', { label: 'H' }, () => new Promise(() => {}))
      void locks.request('b', { label: 'I' }, () => new Promise(() => {}))
      for (let i = 0; i < 1000; i++) {
        void locks.request('a', () => {})
        void locks.request('b', () => {})
      }`)
    assert.match(stderr, /2000 requests wait/)
    assert.match(stderr, /held by H \(.*1000 requests wait for it/)
    assert.match(stderr, /held by I \(.*1000 requests wait for it/)
    assert.ok(stderr.split('\n').length < 15, stderr)
  })

  it('causes a report of a manager that the program has dropped, and keeps no other for long', () => {
    const { stderr, stdout } = runAlone(`
      const { LockManager } = lockwise
      const never = () => new Promise(() => {})
      const afterTimers = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
      const contend = async (end) => {
        const locks = new LockManager({ longWaitMs: Infinity })
        const first = locks.request('a', { label: 'H' }, end)
        const waits = locks.request('a', { label: 'w' }, () => {})
        if (end !== never) await Promise.all([first, waits])
        return locks
      }
      const dropped = new WeakRef(await contend(() => {}))
      const again = await contend(() => {})
      // The first check of each manager is a second after its first wait: FIRST_LOOK_MS in empty-loop.ts.
      const checked = afterTimers(1000)
      contend(never)
      while (dropped.deref()) {
        await afterTimers(10)
        gc()
      }
      console.log(dropped.deref())
      await checked
      void again.request('b', { label: 'I' }, never)
      void again.request('b', { label: 'v' }, () => {})`)
    assert.equal(stdout, 'undefined\n')
    assert.equal(warnings(stderr), 1)
    assert.match(stderr, /2 requests wait for locks/)
    assert.match(stderr, /w has waited for 'a'/)
    assert.match(stderr, /v has waited for 'b'/)
  })
})
