/**
 * Explores the locks' code, and the same code broken on purpose. explore.ts has the cases that take longer.
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { broken } from './broken.ts'
import { loadCode } from './code.ts'
import { situationNamed, situations } from './setups.ts'

describe('the exploration of every interleaving', { timeout: 600_000 }, () => {
  for (const { name, shows, long, changes, explorer } of situations) {
    if (long) continue
    it(`finds no fault with ${name}: ${shows}`, async () => {
      const code = await loadCode(changes)
      const { states, schedules, fault } = explorer(code).explore()
      code.remove()
      assert.equal(fault, undefined)
      assert.ok(states > 100 && schedules > 100)
    })
  }

  for (const { what, changes, situation, long } of broken) {
    if (long) continue
    it(`finds the fault: ${what}`, async () => {
      const found = situationNamed(situation)
      const code = await loadCode([...found.changes, ...changes])
      const { fault } = found.explorer(code).explore()
      code.remove()
      assert.ok(fault && fault.path.length > 3)
    })
  }
})
