/** A blocked thread sees the death of a holder in every setting, or the holder has printed a warning. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Ended, runNode } from '../spawn.ts'
import { resultOf, runSetting, SETTINGS, THIS_NODE } from './settings.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const THREADS = new URL('../../src/backends/threads/index.js', import.meta.url)
/** Opens the table twice. */
const WORKER = `
  const { workerData } = process.getBuiltinModule('node:worker_threads')
  import('${THREADS}').then(({ SharedLocks }) => {
    SharedLocks.open(workerData).close()
    SharedLocks.open(workerData).close()
  })`
const skip = existsSync('/proc/thread-self') ? false : 'needs /proc'

describe('a death while the main thread blocks', { timeout: 300_000, skip }, () => {
  for (const setting of SETTINGS) {
    it(`is seen with the setting: ${setting.name}`, () => {
      for (const memory of ['wasm', 'buffer'] as const) {
        const ended = runSetting(THIS_NODE, setting, { deaths: 2, memory })
        assert.ok(ended)
        const { seen, otherwise } = resultOf(ended)
        assert.deepEqual({ seen, otherwise }, { seen: 2, otherwise: undefined }, ended.stderr)
        assert.doesNotMatch(ended.stderr, /LockwiseWarning/)
      }
    })
  }

  it('causes one warning a thread, from that thread, where nothing can show it', () => {
    const main = `
      import { Worker } from 'node:worker_threads'
      import { SharedLocks } from '${THREADS}'
      const { handle } = SharedLocks.create({ count: 1 })
      const worker = new Worker(${JSON.stringify(WORKER)}, { eval: true, workerData: handle })`
    const { stderr } = runNode([
      THIS_NODE.restrict,
      '--allow-worker',
      `--allow-fs-read=${ROOT}*`,
      '--input-type=module',
      '--eval',
      main,
    ])
    assert.equal(stderr.split('LockwiseWarning').length - 1, 1, stderr)
    assert.match(stderr, /cannot see whether this one has ended: neither can \/proc\/thread-self/)
  })

  it('causes a warning where nothing can show it and the main thread never runs its event loop', () => {
    const { stderr, stdout } = runBlocking([`--allow-fs-read=${ROOT}*`], true)
    assert.match(stderr, /LockwiseWarning: .*neither can \/proc\/thread-self/)
    assert.equal(stdout, 'LOCK_TIMEOUT\n')
  })

  for (const isTracked of [true, false]) {
    const warns = isTracked ? 'is seen by its file' : 'is warned of'
    it(`in a worker with trackUnmanagedFds: ${isTracked} and without /proc ${warns}`, () => {
      const folder = `${tmpdir()}/*`
      const reads = [`--allow-fs-read=${ROOT}*`, `--allow-fs-read=${folder}`]
      const { stderr, stdout } = runBlocking([...reads, `--allow-fs-write=${folder}`], isTracked)
      assert.equal(stdout, isTracked ? 'LOCK_OWNER_DIED\n' : 'LOCK_TIMEOUT\n', stderr)
      assert.equal(/LockwiseWarning.*trackUnmanagedFds/.test(stderr), !isTracked, stderr)
    })
  }
})

/** Runs a restricted program: its main thread blocks while a worker opens a table and ends holding a lock. */
function runBlocking(allowed: readonly string[], trackUnmanagedFds: boolean): Ended {
  const worker = `
    const { workerData: { handle, flag } } = process.getBuiltinModule('node:worker_threads')
    import('${THREADS}').then(({ SharedLocks }) => {
      SharedLocks.open(handle).lock(0)
      Atomics.store(flag, 0, 1)
      Atomics.notify(flag, 0)
    })`
  const main = `
    import { Worker } from 'node:worker_threads'
    import { SharedLocks } from '${THREADS}'
    const locks = SharedLocks.create({ count: 1 })
    const flag = new Int32Array(new SharedArrayBuffer(4))
    const workerData = { handle: locks.handle, flag }
    new Worker(${JSON.stringify(worker)}, { eval: true, workerData, trackUnmanagedFds: ${trackUnmanagedFds} })
    Atomics.wait(flag, 0, 0, 20_000)
    try {
      locks.hold(0, { timeoutMs: 2000 }, () => console.log('held'))
    } catch ({ code }) {
      console.log(code)
    }
    process.exit()`
  const given = [THIS_NODE.restrict, '--allow-worker', ...allowed, '--input-type=module']
  return runNode([...given, '--eval', main], { timeoutMs: 60_000 })
}
