/** A thread that blocks sees the death of a holder, whatever is in the way; or the holder has warned. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runNode } from '../spawn.ts'
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
    it(`is seen: ${setting.name}`, () => {
      for (const memory of ['wasm', 'buffer'] as const) {
        const ended = runSetting(THIS_NODE, setting, { deaths: 2, memory })
        assert.ok(ended)
        const { seen, otherwise } = resultOf(ended)
        assert.deepEqual({ seen, otherwise }, { seen: 2, otherwise: undefined }, ended.stderr)
        assert.doesNotMatch(ended.stderr, /LockwiseWarning/)
      }
    })
  }

  it('that nothing can show is warned of, once a thread, by the thread itself', () => {
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
})
