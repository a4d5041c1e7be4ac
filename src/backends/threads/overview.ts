/** A table in one line: its locks, and the owners that hold or wait. Reads what others may just change. */

import { brief, listed } from '../../core/listed.ts'
import { FREE_SLOT, SLOT } from './layout.ts'
import { hasShared, kindOf, labelOf, listOf, slotOf } from './owners.ts'
import { sharedBy } from './readers.ts'
import { describeLocks, numberOf, type Table } from './table.ts'

/** An overview names this many owners. */
const MAX_OWNERS = 5

/** The number of locks, and the first owners that hold or wait. Cost: every owner. */
export function overviewOf(table: Table): string {
  const { owners, lockCount } = table.layout
  const busy: string[] = []
  for (let id = 1; id <= owners && busy.length < MAX_OWNERS; id++) {
    if (kindOf(table, id) === FREE_SLOT) continue
    const text = ownerText(table, id)
    if (text !== '') busy.push(`${brief(labelOf(table, id))} ${text}`)
  }
  return [`${lockCount} locks`, ...busy].join('; ')
}

function ownerText(table: Table, id: number): string {
  const held = [...listOf(table, id)].map((word) => describeLocks([numberOf(table, word)]))
  const shared = hasShared(table, id) ? sharedBy(table, id) : []
  held.push(...shared.map((lock) => `${describeLocks([lock])} (shared)`))
  const word = Atomics.load(table.words, (slotOf(table, id) + SLOT.waitsFor) >> 2)
  const texts: string[] = []
  if (held.length > 0) texts.push(`holds ${listed(held)}`)
  if (word !== 0) texts.push(`waits for ${describeLocks([numberOf(table, word)])}`)
  return texts.join(', ')
}
