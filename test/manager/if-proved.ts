/** Tests of waits that must be proved: skipped if no stack trace of the runtime shows which code awaits. */

import { it } from 'node:test'
import { canProve } from '../../src/core/await-chain.ts'

/**
 * Whether tests may require a proof. False only on Bun, as long as the probe finds no proof there. Elsewhere
 * a failing probe is a fault, and must fail these tests.
 */
const mayRequireProof = !('Bun' in globalThis) || (await canProve())
const REASON = 'this runtime has no async stack traces, which prove waits'

/**
 * A test that needs a proof by async stack traces. Without them it is skipped, with the reason in its title,
 * because not every runner prints another one. `unproved.test.ts` tests the rules for that case.
 */
export function itIfProved(title: string, body: () => Promise<void>): void {
  if (mayRequireProof) it(title, body)
  else it(`${title} (skipped: ${REASON})`, { skip: REASON }, body)
}
