/** The memory of one lock table, as its threads see it, and the handle that carries it between threads. */

import { type Caller, LockUsageError } from '../../core/errors.ts'
import { DATA_OFFSET, NODE_BYTES, OWNER_SHIFT, PAGE_BYTES } from './layout.ts'
import {
  damaged,
  type Layout,
  type LayoutOptions,
  noTable,
  planLayout,
  readHeader,
  writeHeader,
} from './table-layout.ts'
import { createWasmMemory, hasWebAssembly, noMemoryFor } from './wasm-kernel.ts'

/**
 * The value that `workerData` or `postMessage` carries to another thread. Opaque: give it to
 * `SharedLocks.open` there.
 */
export interface SharedLocksHandle {
  readonly kind: 'lockwise/threads'
  /** A shared WebAssembly.Memory, or a SharedArrayBuffer. */
  readonly memory: object
}

/** A lock table's memory: the position of every part, and the views on it. */
export interface Table {
  readonly layout: Layout
  readonly buffer: SharedArrayBuffer
  readonly words: Int32Array
  readonly floats: Float64Array
  readonly bytes: Uint8Array
  /** The memory that owns the buffer, if it is WebAssembly's. */
  readonly wasm: WasmMemory | undefined
}

/** A WebAssembly.Memory, for programs that lack its types. */
interface WasmMemory {
  readonly buffer: object
}

/** Makes the memory of a new table. */
export function createTable(options: LayoutOptions, memory: 'wasm' | 'buffer'): Table {
  const layout = planLayout(options)
  const wasm = memory === 'wasm' ? createWasmMemory(layout.totalBytes) : undefined
  const buffer = wasm ? sharedBufferOf(wasm) : createBuffer(layout.totalBytes)
  writeHeader(new Int32Array(buffer), layout)
  return viewTable(layout, buffer, wasm)
}

function createBuffer(bytes: number): SharedArrayBuffer {
  try {
    return new SharedArrayBuffer(bytes)
  } catch {
    throw noMemoryFor(bytes)
  }
}

/** The table that a handle carries. */
export function openTable(handle: SharedLocksHandle): Table {
  const { kind, memory } = handle ?? {}
  if (kind === 'lockwise/threads') {
    if (memory instanceof SharedArrayBuffer) return viewExisting(memory, undefined)
    if (
      hasWebAssembly() &&
      memory instanceof WebAssembly.Memory &&
      sharedBufferOf(memory) instanceof SharedArrayBuffer
    ) {
      return viewExisting(sharedBufferOf(memory), memory)
    }
    throw new LockUsageError(
      "open: the table's handle has arrived without the memory: shared memory reaches the threads of one process " +
        'only. Pass locks.handle to a Worker, as workerData or by postMessage, not to another process ' +
        '(child_process, cluster), and not as JSON',
    )
  }
  throw new LockUsageError(
    "open: expected a table's handle (locks.handle), as workerData or postMessage delivered it",
  )
}

/** The handle of a table. */
export function handleOf(table: Table): SharedLocksHandle {
  return { kind: 'lockwise/threads', memory: table.wasm ?? table.buffer }
}

/** A shared memory's buffer, which TypeScript types as an ArrayBuffer. */
function sharedBufferOf(memory: WasmMemory): SharedArrayBuffer {
  return memory.buffer as SharedArrayBuffer
}

function viewExisting(buffer: SharedArrayBuffer, wasm: WasmMemory | undefined): Table {
  const words = new Int32Array(buffer, 0, buffer.byteLength >> 2)
  const layout = readHeader(words)
  // Such a buffer is no table's, and `viewTable` could throw: its length need not be a multiple of 8.
  if (buffer.byteLength % PAGE_BYTES !== 0) throw noTable()
  return viewTable(layout, buffer, wasm)
}

function viewTable(layout: Layout, buffer: SharedArrayBuffer, wasm: WasmMemory | undefined): Table {
  return {
    layout,
    buffer,
    wasm,
    words: new Int32Array(buffer),
    floats: new Float64Array(buffer),
    bytes: new Uint8Array(buffer),
  }
}

/** The number of the owner that a lock word carries; 0 if there is none. */
export function ownerIn(word: number): number {
  return word >>> OWNER_SHIFT
}

/** The number of a record's lock. */
export function lockOf({ layout }: Table, record: number): number {
  return record % layout.lockCount
}

/** The address of lock number `lock`. */
export function addressOf(table: Table, lock: number): number {
  return table.layout.locksBase + lock * table.layout.lockStride
}

/**
 * The number of the lock at `address`.
 *
 * @throws LockUsageError if no lock is there: the table is damaged.
 */
export function numberOf(table: Table, address: number): number {
  if (!isLock(table, address)) throw damaged(`there is no lock at ${address}`)
  return (address - table.layout.locksBase) / table.layout.lockStride
}

/** Whether there is a lock at `address`. */
export function isLock({ layout }: Table, address: number): boolean {
  const lock = (address - layout.locksBase) / layout.lockStride
  return Number.isInteger(lock) && lock >= 0 && lock < layout.lockCount
}

/**
 * The address of an owner's node: the one entry in its list for all locks that it holds shared. It is above
 * all locks. While it is the head of the list, the kernel's order check therefore refuses every request, and
 * refusals.ts checks more closely.
 */
export function nodeOf({ layout }: Table, id: number): number {
  return layout.nodesBase + (id - 1) * NODE_BYTES
}

/** `lock 3`, `locks 3, 5 and 7`, and no more than ten numbers. */
export function describeLocks(locks: readonly number[]): string {
  if (locks.length === 1) return `lock ${locks[0]}`
  if (locks.length > 10) return `${locks.length} locks (${locks.slice(0, 9).join(', ')}, …)`
  return `locks ${locks.slice(0, -1).join(', ')} and ${locks.at(-1)}`
}

/** The rule by which records share locks, in brackets; `''` if every record has a lock of its own. */
export function stripesText({ layout: { count, lockCount } }: Table): string {
  if (lockCount === count) return ''
  return ` (its ${count} records share ${lockCount} locks: record i has lock i % ${lockCount})`
}

/** A typed array over the users' bytes, from record 0 to the last. */
export function viewRecords<View>(table: Table, View: RecordView<View>, caller: Caller): View {
  const { recordsBase, recordsLength } = table.layout
  const bytes = View?.BYTES_PER_ELEMENT
  if (typeof View !== 'function' || !(bytes <= DATA_OFFSET)) {
    throw new LockUsageError(
      'view: expected the constructor of a typed array, such as Float64Array',
      caller,
    )
  }
  return new View(table.buffer, recordsBase, Math.floor(recordsLength / bytes))
}

/** The constructor of a typed array. */
export interface RecordView<View> {
  readonly BYTES_PER_ELEMENT: number
  new (buffer: SharedArrayBuffer, byteOffset: number, length: number): View
}
