/**
 * The layout of one table: checks its options, computes the addresses, and writes the constants in its
 * header.
 */

import { LockUsageError } from '../../core/errors.ts'
import { show } from '../../core/format.ts'
import {
  DATA_OFFSET,
  HEADER,
  HEADER_BYTES,
  MAX_OWNERS,
  NODE_BYTES,
  OWNER_BYTES,
  PAGE_BYTES,
  STACK_BYTES,
} from './layout.ts'

/** The order in which one thread may take locks while it holds others. */
export type LockOrder = 'ascending' | 'free'

/** The default number of owners that a table has room for. */
const DEFAULT_OWNERS = 128
/** A record of this many bytes fills a cache line on most current processors. */
const LINE_BYTES = 64
const MAGIC = 0x6c6f636b
const VERSION = 7
const MAX_BYTES = 2 ** 31 - PAGE_BYTES

/** The position of every part of one table. */
export interface Layout {
  readonly count: number
  readonly lockCount: number
  readonly recordBytes: number
  readonly order: LockOrder
  readonly owners: number
  readonly reentrant: boolean
  readonly ownerBytes: number
  readonly locksBase: number
  readonly lockStride: number
  /** The first user's byte of record 0; record `i` begins `i * recordBytes` after it. */
  readonly recordsBase: number
  /** The user's bytes from `recordsBase` to the end of the last record. */
  readonly recordsLength: number
  /** The row of lock 0, which names its readers; each lock has `rowBytes`. */
  readonly rowsBase: number
  readonly rowBytes: number
  /** The node of owner 1: NODE_BYTES for every owner. The nodes come after all locks, see `nodeOf`. */
  readonly nodesBase: number
  /** The guest slot, after the last owner: the guest holds no locks and waits for none. */
  readonly guestBase: number
  readonly totalBytes: number
}

/** The options of a new table; see `SharedLocksOptions`. */
export interface LayoutOptions {
  readonly count: number
  readonly recordBytes?: number | undefined
  readonly stripes?: number | undefined
  readonly order?: LockOrder | undefined
  readonly owners?: number | undefined
  readonly reentrant?: boolean | undefined
}

/** Checks the options and computes the position of every part. */
export function planLayout(options: LayoutOptions): Layout {
  const { count, recordBytes = LINE_BYTES, order = 'ascending', owners = DEFAULT_OWNERS } = options
  wholeNumber('count', count, 1, 2 ** 31 - 1)
  wholeNumber('owners', owners, 1, MAX_OWNERS)
  wholeNumber('recordBytes', recordBytes, 8, 2 ** 30)
  if (recordBytes % 8 !== 0) throw bad('recordBytes', recordBytes, 'a multiple of 8')
  if (order !== 'ascending' && order !== 'free') throw bad('order', order, "'ascending' or 'free'")
  if (options.stripes !== undefined) wholeNumber('stripes', options.stripes, 1, count)
  const { stripes = count, reentrant = false } = options
  if (typeof reentrant !== 'boolean') throw bad('reentrant', reentrant, 'true or false')
  return arrange({ count, lockCount: stripes, recordBytes, order, owners, reentrant })
}

type Given = 'count' | 'lockCount' | 'recordBytes' | 'order' | 'owners' | 'reentrant'

function arrange(given: Pick<Layout, Given>): Layout {
  const { count, lockCount, recordBytes, order, owners } = given
  const striped = lockCount !== count
  const ownerBytes = OWNER_BYTES + (order === 'free' ? STACK_BYTES : 0)
  const locksBase = HEADER_BYTES + owners * ownerBytes
  const lockStride = striped ? LINE_BYTES : recordBytes
  const recordsBase = striped ? locksBase + lockCount * lockStride : locksBase + DATA_OFFSET
  const recordsLength = count * recordBytes - (striped ? 0 : DATA_OFFSET)
  const rowsBase = recordsBase + recordsLength
  const rowBytes = 4 * Math.ceil(owners / 32)
  const nodesBase = Math.ceil((rowsBase + lockCount * rowBytes) / NODE_BYTES) * NODE_BYTES
  const guestBase = nodesBase + owners * NODE_BYTES
  const end = guestBase + OWNER_BYTES
  if (end > MAX_BYTES) {
    throw new LockUsageError(
      `a table of ${count} records of ${recordBytes} bytes takes ${end} bytes, but ` +
        `a table can have at most ${MAX_BYTES}: use fewer or smaller records`,
    )
  }
  return {
    ...given,
    ownerBytes,
    locksBase,
    lockStride,
    recordsBase,
    recordsLength,
    rowsBase,
    rowBytes,
    nodesBase,
    guestBase,
    totalBytes: Math.ceil(end / PAGE_BYTES) * PAGE_BYTES,
  }
}

/** Writes the constants of a new table into its (zeroed) memory. */
export function writeHeader(words: Int32Array, layout: Layout): void {
  words[HEADER.magic / 4] = MAGIC
  words[HEADER.version / 4] = VERSION
  words[HEADER.count / 4] = layout.count
  words[HEADER.lockCount / 4] = layout.lockCount
  words[HEADER.recordBytes / 4] = layout.recordBytes
  words[HEADER.order / 4] = layout.order === 'free' ? 1 : 0
  words[HEADER.owners / 4] = layout.owners
  words[HEADER.reentrant / 4] = layout.reentrant ? 1 : 0
}

/** Reads back what {@link writeHeader} wrote. */
export function readHeader(words: Int32Array): Layout {
  const at = (address: number): number => words[address / 4] ?? 0
  if (at(HEADER.magic) !== MAGIC || at(HEADER.version) !== VERSION) throw noTable()
  const [count, lockCount] = [at(HEADER.count), at(HEADER.lockCount)]
  try {
    const layout = planLayout({
      count,
      stripes: lockCount === count ? undefined : lockCount,
      recordBytes: at(HEADER.recordBytes),
      order: at(HEADER.order) === 1 ? 'free' : 'ascending',
      owners: at(HEADER.owners),
      reentrant: at(HEADER.reentrant) === 1,
    })
    if (words.byteLength >= layout.totalBytes) return layout
  } catch (error) {
    if (!(error instanceof LockUsageError)) throw error
  }
  throw noTable()
}

/** The error for a table whose memory contradicts itself. */
export function damaged(what: string): LockUsageError {
  return new LockUsageError(
    `this lock table is damaged (${what}): other code has overwritten its memory. Create a new table, and ` +
      'write to it only through view(), outside of the lock words',
  )
}

/** The error for memory that is not a table's. */
export function noTable(): LockUsageError {
  return new LockUsageError(
    'open: this memory holds no lock table of this version of lockwise: pass the handle of a table that ' +
      'SharedLocks.create made, with the same version of lockwise in every thread',
  )
}

/** Throws unless `value` is a whole number from `least` to `most`. */
function wholeNumber(name: string, value: unknown, least: number, most: number): void {
  if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > most) {
    throw bad(name, value, `a whole number from ${least} to ${most}`)
  }
}

function bad(name: string, value: unknown, expected: string): LockUsageError {
  return new LockUsageError(`${name} must be ${expected}, not ${show(value)}`)
}
