/** Tests of waits that must be proved: skipped where the runtime shows in no stack trace which code awaits. */

import { it } from 'node:test'
import { canProve } from '../../src/core/await-chain.ts'

/**
 * Whether tests may require a proof. False only on Bun, as long as the probe finds no proof there:
 * elsewhere a probe that fails is a fault, and must fail these tests.
 */
const mayRequireProof = !('Bun' in globalThis) || (await canProve())
const REASON = 'this runtime has no async stack traces, which prove waits'

/**
 * A test that needs a proof by async stack traces. Where there are none it is skipped, with the reason
 * in its title, for not every runner prints another one. `unproved.test.ts` tests the rules that hold there.
 */
export function itIfProved(title: string, body: () => Promise<void>): void {
  if (mayRequireProof) it(title, body)
  else it(`${title} (skipped: ${REASON})`, { skip: REASON }, body)
}
