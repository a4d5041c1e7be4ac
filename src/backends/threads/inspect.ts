/**
 * Shows a table of locks in `util.inspect` and `console.log`: its kind, and the locks that this thread and
 * its asynchronous holdings hold and wait for. For debugging; does not import `node:util`.
 */

import { visible } from '../../core/format.ts'
import { inspectBy } from '../../core/inspect.ts'
import { hasShared, listOf } from './held-list.ts'
import { TASK_SLOT } from './layout.ts'
import { kindOf, labelOf, leaderOf, type Owner, tagOf } from './owners.ts'
import { waitingMode, waitsForOf } from './published-wait.ts'
import { sharedBy } from './readers.ts'
import { numberOf, type Table } from './table.ts'

/** A table as one thread sees it. */
export interface Shown {
  readonly table: Table
  readonly owner: Owner
  readonly isClosed: boolean
}

/** Makes tables show themselves as text. Respects `depth`, and never throws. */
export function inspectTables<Locks extends object>(
  prototype: Locks,
  name: string,
  shownOf: (it: Locks) => Shown,
): void {
  inspectBy(prototype, name, (it, depth, options, inspect) => {
    if (typeof depth === 'number' && depth < 0) return `[${name}]`
    const fields = fieldsOf(shownOf(it))
    return `${name} ${inspect ? inspect(fields, { ...options, depth }) : JSON.stringify(fields)}`
  })
}

function fieldsOf({ table, owner, isClosed }: Shown): object {
  const { count, lockCount, recordBytes, order, reentrant } = table.layout
  const fields = {
    count,
    ...(lockCount !== count && { stripes: lockCount }),
    recordBytes,
    order,
    ...(reentrant && { reentrant }),
    label: visible(owner.label),
    thread: owner.id,
  }
  // The slot may already be another thread's.
  if (isClosed) return { ...fields, closed: true }
  try {
    const holdings = [...holdingsOf(table, owner)]
    return {
      ...fields,
      ...doingsOf(table, owner.id),
      ...(holdings.length > 0 && { asynchronous: holdings }),
    }
  } catch (error) {
    return { ...fields, damaged: (error as Error).message }
  }
}

/** The locks that an owner of this thread holds and waits for. */
function doingsOf(table: Table, id: number): object {
  const holdsShared = hasShared(table, id) ? sharedBy(table, id) : []
  const exclusive = [...listOf(table, id)].map((word) => numberOf(table, word))
  const waits = waitsForOf(table, id)
  return {
    holds: [...exclusive, ...holdsShared].sort((a, b) => a - b),
    ...(holdsShared.length > 0 && { holdsShared }),
    ...(waits !== 0 && { waitsFor: numberOf(table, waits), waitsAs: waitingMode(table, id) }),
  }
}

/** The asynchronous holdings of a thread, each an owner of its own. */
function* holdingsOf(table: Table, thread: Owner): Generator<object> {
  const tag = tagOf(table, thread.id)
  for (let id = 1; id <= table.layout.owners; id++) {
    if (kindOf(table, id) !== TASK_SLOT || tagOf(table, id) !== tag) continue
    if (leaderOf(table, id) !== thread.id) continue
    yield { label: visible(labelOf(table, id)), ...doingsOf(table, id) }
  }
}
