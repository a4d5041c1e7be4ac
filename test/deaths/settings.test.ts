/** A thread that blocks sees the death of a holder, whatever is in the way; or the holder has warned. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { describe, it } from 'node:test'
import { resultOf, runSetting, SETTINGS, THIS_NODE } from './settings.ts'

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
})
