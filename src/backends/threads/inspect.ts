/**
 * What `util.inspect` and `console.log` show of a table of locks: what it is, and what this thread and
 * its asynchronous holdings hold and wait for. For people who debug; `node:util` is not imported.
 */

import { visible } from '../../core/visible.ts'
import { SLOT, TASK_SLOT } from './layout.ts'
import {
  hasShared,
  kindOf,
  labelOf,
  leaderOf,
  listOf,
  type Owner,
  slotOf,
  tagOf,
  waitingMode,
} from './owners.ts'
import { sharedBy } from './readers.ts'
import { numberOf, type Table } from './table.ts'

/** Node, Deno and Bun look for a method of this name. */
const INSPECT = Symbol.for('nodejs.util.inspect.custom')

/** A table as one thread sees it. */
export interface Shown {
  readonly table: Table
  readonly owner: Owner
  readonly isClosed: boolean
}

type Inspect = (value: unknown, options?: object) => string

/** Gives the objects of a prototype a text to be shown as; it respects `depth`, and never throws. */
export function inspectAs(prototype: object, name: string, shownOf: (it: object) => Shown): void {
  Object.defineProperty(prototype, INSPECT, {
    configurable: true,
    writable: true,
    value(this: object, depth?: number | null, options?: object, inspect?: Inspect): string {
      if (typeof depth === 'number' && depth < 0) return `[${name}]`
      try {
        const fields = fieldsOf(shownOf(this))
        return `${name} ${inspect ? inspect(fields, { ...options, depth }) : JSON.stringify(fields)}`
      } catch {
        // The prototype itself, or a proxy.
        return `${name} {}`
      }
    },
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
  // The slot may be another thread's by now.
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

/** What an owner of this thread holds and waits for. */
function doingsOf(table: Table, id: number): object {
  const holdsShared = hasShared(table, id) ? sharedBy(table, id) : []
  const alone = [...listOf(table, id)].map((word) => numberOf(table, word))
  const waits = Atomics.load(table.words, (slotOf(table, id) + SLOT.waitsFor) >> 2)
  return {
    holds: [...alone, ...holdsShared].sort((a, b) => a - b),
    ...(holdsShared.length > 0 && { holdsShared }),
    ...(waits !== 0 && { waitsFor: numberOf(table, waits), waitsAs: waitingMode(table, id) }),
  }
}

/** The asynchronous holdings of a thread: owners of their own. */
function* holdingsOf(table: Table, thread: Owner): Generator<object> {
  const tag = tagOf(table, thread.id)
  for (let id = 1; id <= table.layout.owners; id++) {
    if (kindOf(table, id) !== TASK_SLOT || tagOf(table, id) !== tag) continue
    if (leaderOf(table, id) !== thread.id) continue
    yield { label: visible(labelOf(table, id)), ...doingsOf(table, id) }
  }
}
