/** A test runner's fake timers, with everything faked, change nothing about deadlocks and reports. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { runNode } from '../spawn.ts'

const lockwise = new URL('../../src/index.js', import.meta.url).href
const fakeTimers = import.meta.resolve('@sinonjs/fake-timers')

/** Runs a program under fake timers, which are installed before or after lockwise is loaded. */
function run(order: 'before' | 'after', work: string): { stdout: string; stderr: string } {
  const load = `const { LockManager } = await import(${JSON.stringify(lockwise)})`
  const install = `
    const { default: FakeTimers } = await import(${JSON.stringify(fakeTimers)})
    const real = { setTimeout, now: Date.now }
    const turn = () => new Promise((resolve) => real.setTimeout(resolve, 1))
    // Everything that it can fake, performance, nextTick and queueMicrotask too.
    const toFake = Object.keys(FakeTimers.timers)
    const clock = FakeTimers.install({ toFake, now: 0 })
    for (const faked of ['Date', 'setTimeout', 'nextTick', 'queueMicrotask', 'setImmediate', 'performance']) {
      if (!toFake.includes(faked)) throw new Error('not faked: ' + faked)
    }`
  const program = order === 'before' ? [install, load] : [load, install]
  const { stdout, stderr, status } = runNode(
    ['--expose-gc', '--input-type=module', '--eval', [...program, work].join('\n')],
    { timeoutMs: 60_000 },
  )
  assert.equal(status, 0, stderr)
  return { stdout, stderr }
}

for (const order of ['before', 'after'] as const) {
  describe(`a manager under fake timers that are installed ${order} lockwise is loaded`, {
    timeout: 300_000,
  }, () => {
    it('rejects the victim of a deadlock after deadlockAfterMs of real time', () => {
      const { stdout } = run(
        order,
        `const start = real.now()
        const locks = new LockManager({ deadlockAfterMs: 50 })
        await locks.request('a', () => locks.request('a', () => {})).catch((error) => {
          console.log(error.name, real.now() - start >= 49, error.report.detectedAtMs >= start)
        })`,
      )
      assert.equal(stdout, 'DeadlockError true true\n')
    })

    it('reports a long wait, a slow holding and a leaked guard as warnings', () => {
      const { stderr } = run(
        order,
        `const locks = new LockManager({ longWaitMs: 20 })
        const warnings = []
        process.on('warning', (warning) => warnings.push(warning))
        let end
        const held = new Promise((resolve) => { end = resolve })
        void locks.request('a', { label: 'holds', warnAfterMs: 20 }, () => held)
        const waits = locks.request('a', { label: 'waits' }, () => {})
        await (async () => { await locks.acquire('b', { label: 'leaks' }) })()
        while (warnings.length < 3) {
          await turn()
          gc()
        }
        end()
        await waits`,
      )
      assert.match(
        stderr,
        /LockwiseWarning: waits has waited for 'a' for \d+ ms \(requested at .*\): 'a' is held by holds \(/,
      )
      assert.match(stderr, /LockwiseWarning: holds has held 'a' for \d+ ms/)
      assert.match(stderr, /LockwiseWarning: leaks: a guard of 'b' was garbage-collected/)
    })

    it('calls listeners', () => {
      const { stdout } = run(
        order,
        `const locks = new LockManager({ longWaitMs: 20, deadlockAfterMs: Infinity })
        const kinds = new Set()
        for (const kind of ['slow', 'deadlock']) locks.on(kind, () => kinds.add(kind))
        void locks.request('a', () => locks.request('a', () => {}))
        while (kinds.size < 2) await turn()
        console.log([...kinds].sort().join())
        process.exit()`,
      )
      assert.equal(stdout, 'deadlock,slow\n')
    })
  })
}

describe('a manager under mock timers of node:test that are enabled before lockwise is loaded', {
  timeout: 120_000,
}, () => {
  const runMocked = (apis: string, work: string): string => {
    const program = `
      import { mock } from 'node:test'
      const real = { setTimeout, now: Date.now }
      const turn = () => new Promise((resolve) => real.setTimeout(resolve, 1))
      mock.timers.enable(${apis})
      const { LockManager } = await import(${JSON.stringify(lockwise)})
      ${work}`
    const { stdout, stderr, status } = runNode(
      ['--no-warnings', '--input-type=module', '--eval', program],
      { timeoutMs: 60_000 },
    )
    assert.equal(status, 0, stderr)
    return stdout
  }

  for (const apis of ['', "{ apis: ['setTimeout'] }"]) {
    it(`rejects the victim of a deadlock after deadlockAfterMs of real time (${apis || 'all'})`, () => {
      const stdout = runMocked(
        apis,
        `const start = real.now()
        const locks = new LockManager({ deadlockAfterMs: 50 })
        await locks.request('a', () => locks.request('a', () => {})).catch((error) => {
          console.log(error.name, real.now() - start >= 49, error.report.detectedAtMs >= start - 1)
        })
        console.log('and the process ends')`,
      )
      assert.equal(stdout, 'DeadlockError true true\nand the process ends\n')
    })
  }

  it('calls listeners, and measures timeoutMs by the mock timers', () => {
    const stdout = runMocked(
      '',
      `const locks = new LockManager({ longWaitMs: 20, deadlockAfterMs: Infinity })
      const kinds = new Set()
      for (const kind of ['slow', 'deadlock']) locks.on(kind, () => kinds.add(kind))
      void locks.request('a', () => locks.request('a', () => {}))
      const late = locks.request('a', { timeoutMs: 10 }, () => {})
      late.catch((error) => kinds.add(error.name))
      // By then, timeoutMs has passed on the real clock.
      while (kinds.size < 2) await turn()
      console.log([...kinds].sort().join())
      mock.timers.tick(10)
      while (kinds.size < 3) await turn()
      console.log([...kinds].sort().join())
      process.exit()`,
    )
    assert.equal(stdout, 'deadlock,slow\nLockTimeoutError,deadlock,slow\n')
  })
})
