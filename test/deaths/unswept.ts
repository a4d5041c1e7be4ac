/** Checks whether a sweep missed anything of a dead owner: something that only its list could have named. */

import { ABANDONED, DEAD_SLOT, FREE_SLOT } from '../../src/backends/threads/layout.ts'
import { kindOf } from '../../src/backends/threads/owners.ts'
import { readersOf } from '../../src/backends/threads/readers.ts'
import { addressOf, ownerIn, type Table } from '../../src/backends/threads/table.ts'

/** Other threads work meanwhile. A fault seen this often in a row is not a transient state. */
const LOOKS = 5

/** The fault of a table whose dead have been swept, while others use it; `undefined` if there is none. */
export function unsweptIn(table: Table): string | undefined {
  for (let lock = 0; lock < table.layout.lockCount; lock++) {
    let what = unsweptAt(table, lock)
    for (let look = 1; what && look < LOOKS; look++) what = unsweptAt(table, lock)
    if (what) return `lock ${lock} ${what}`
  }
  return undefined
}

function unsweptAt(table: Table, lock: number): string | undefined {
  const at = addressOf(table, lock) >> 2
  const word = Atomics.load(table.words, at)
  const holder = ownerIn(word)
  const kind = holder === 0 ? undefined : kindOf(table, holder)
  if (Atomics.load(table.words, at) === word) {
    if (kind === FREE_SLOT) return `carries ${holder}, whose slot is free`
    if (kind === DEAD_SLOT && (word & ABANDONED) === 0) return `carries ${holder}, which is dead`
  }
  for (const reader of readersOf(table, lock)) {
    const isAlive = ![FREE_SLOT, DEAD_SLOT].includes(kindOf(table, reader))
    if (!isAlive && [...readersOf(table, lock)].includes(reader)) return `is read by ${reader}`
  }
  return undefined
}
