/**
 * The bank's hot loop must be compiled as one piece. V8 takes a called function into its caller only
 * while all that it takes in stays within 920 bytes of bytecode, of which the teller's random numbers
 * need 174; and it counts the next function by a factor of 1.2, with all that is in it already
 * (`max_inlined_bytecode_size_cumulative`, `reserve_inline_budget_scale_factor`). A transfer that was a
 * little larger was taken in or not by the luck of which function was compiled first: a fifth of the
 * speed.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { outputOfNode } from '../spawn.ts'

const ROOM = (920 - 174) / 1.2
/** A transfer, and everything it calls where nothing stands in its way. */
const CALLED = ['transfer', 'mustBeTransfer', 'holdPair', 'isPair', 'settled', 'move']

const index = new URL('../../src/bank/index.js', import.meta.url)
const program = `
  import { Bank } from ${JSON.stringify(index)}
  Bank.create({ strategy: 'ordered', balances: [1, 2] }).transfer(0, 1, 1)
`

test('a transfer is small enough to be compiled into the loop that calls it', async (t) => {
  const lengths = await Promise.all(CALLED.map(bytecodeLength))
  if (lengths.includes(undefined)) {
    t.skip('SKIPPED: this Node cannot print bytecode')
    return
  }
  const sum = lengths.reduce<number>((total, length) => total + (length ?? 0), 0)
  const each = CALLED.map((name, i) => `${name} ${lengths[i]}`).join(', ')
  t.diagnostic(`${sum} of ${Math.floor(ROOM)} bytes: ${each}`)
  assert.ok(sum <= ROOM, `${sum} bytes of bytecode (${each}), room for ${Math.floor(ROOM)}`)
})

async function bytecodeLength(name: string): Promise<number | undefined> {
  const { stdout } = await outputOfNode([
    '--print-bytecode',
    `--print-bytecode-filter=${name}`,
    '--input-type=module',
    '--eval',
    program,
  ])
  const found = /^Bytecode length: (\d+)$/m.exec(stdout)
  return found ? Number(found[1]) : undefined
}
