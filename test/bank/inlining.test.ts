/**
 * V8 must compile the bank's hot loop (src/bank/draw.ts) as one piece. It inlines called functions only while
 * all of them together stay within 920 bytes of bytecode. The random numbers of a transfer need 174 of these.
 * V8 multiplies the size of the next function, with all that is already inlined in it, by 1.2
 * (`max_inlined_bytecode_size_cumulative`, `reserve_inline_budget_scale_factor`). A transfer was once a
 * little larger. Then the function that V8 compiled first decided whether it was inlined, and a fifth of the
 * speed depended on that.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { outputOfNode } from '../spawn.ts'

const ROOM = (920 - 174) / 1.2
/** A transfer, and everything it calls if it need not wait. */
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
