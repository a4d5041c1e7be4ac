/**
 * Lifelines: how threads see that another one has ended, though it can be terminated at any step and
 * then says nothing.
 *
 * Source    the robust futexes of Linux know a thread by its system number too; the unnamed file is ours.
 * Steps     1. On Linux a thread's lifeline is its system thread. `/proc/thread-self` gives its number;
 *              `/proc/self/task/<number>` exists until it ends, and its `stat` says when it started,
 *              because numbers are used again. A thread that waits can ask at once, without an event loop.
 *           2. Where there is no `/proc`, a worker that opens a table opens a file of its own, which has
 *              no name any more. The system takes a worker's file descriptors back when it ends. A thread
 *              that waits asks: is that descriptor still that file? The file has a random length, because
 *              two files can have one number and one time within a tick of the clock.
 *           3. Node tells a thread of every worker that it starts, and of that worker's end.
 * Invariant A lifeline is said to have ended only if the system says so. Every other error (no descriptor
 *           left, no permission, no `/proc` any more) means that it is not known to have ended: a live
 *           thread that passes for dead would lose its locks.
 * Cost      asking is one or two system calls, some microseconds. The first means needs no descriptor,
 *           the second one for each worker.
 * Limits    Where neither of the first two can be had, the third is left, which needs a parent that has
 *           loaded this file and lets its event loop run: the thread warns once. The second does not see
 *           the end of workers made with `trackUnmanagedFds: false`. The main thread ends last.
 */

import { builtin } from '../../core/builtin.ts'
import { emitWarning } from '../../core/emit-warning.ts'
import { LockUsageError } from '../../core/errors.ts'

/** A thread as others can watch it. */
export interface Lifeline {
  /** The runtime's number of the thread: 0 for Node's main thread; a random one where there is none. */
  readonly tag: number
  /** NO_LIFELINE, SYSTEM_THREAD, or one more than a file descriptor. */
  readonly kind: number
  /** The number of the system thread, or of the file. */
  readonly number: number
  /** When the thread started, 0 where that is not known; or when the file was made, and its length. */
  readonly made: number
}

/** Others cannot see this thread's end. */
export const NO_LIFELINE = 0
/** Others can look up this thread's system thread. */
export const SYSTEM_THREAD = -1

/** The parts of Node that are used; absent in browsers. */
interface Node {
  readonly threads: {
    readonly threadId: number
    readonly isMainThread: boolean
  }
  readonly fs: FileSystem
  readonly os: { tmpdir(): string }
}

interface FileSystem {
  openSync(path: string, flags: string): number
  unlinkSync(path: string): void
  ftruncateSync(descriptor: number, length: number): void
  fstatSync(descriptor: number): FileStatus
  statSync(path: string): unknown
  readlinkSync(path: string): string
  readFileSync(path: string, encoding: 'latin1'): string
}

interface FileStatus {
  readonly ino: number
  readonly mtimeMs: number
  readonly size: number
}

interface NodeProcess {
  readonly pid: number
  readonly versions?: { readonly node?: string }
  on?(event: 'worker', listener: (worker: StartedWorker) => void): void
}

interface StartedWorker {
  readonly threadId: number
  once(event: 'exit', listener: () => void): void
}

/** Files of lifelines are shorter than this. Where a file system has no holes, they take that space. */
const MAX_FILE_BYTES = 2 ** 20
/** Where the start time stands in `stat` behind the thread's name: field 22 of all, the name is field 2. */
const START_FIELD = 19

const { process } = globalThis as { readonly process?: NodeProcess }
const node = loadNode()
let own: Lifeline | undefined

/** This thread's lifeline. Warns, once, where this thread can have none. */
export function ownLifeline(): Lifeline {
  if (node === undefined && process?.versions?.node !== undefined) {
    throw new LockUsageError(
      `lockwise/threads needs Node.js 20.16 or newer, not ${process.versions.node}: ` +
        'it could not see a thread end that holds locks',
    )
  }
  if (own) return own
  const tag = node?.threads.threadId ?? Math.floor(Math.random() * 2 ** 28)
  const means = isWorker() ? (findSystemThread() ?? openFile()) : undefined
  own = { tag, ...(means ?? { kind: NO_LIFELINE, number: 0, made: 0 }) }
  if (!means && isWorker()) warn()
  return own
}

/** Whether the thread of a lifeline is known to have ended. */
export function hasEnded(lifeline: Lifeline): boolean {
  if (lifeline.kind === NO_LIFELINE || !node) return false
  return lifeline.kind === SYSTEM_THREAD
    ? hasThreadEnded(node.fs, lifeline)
    : isFileClosed(node.fs, lifeline)
}

/** Calls `listener` with the number of every thread that this one starts, when that one has ended. */
export function onThreadEnd(listener: (tag: number) => void): void {
  process?.on?.('worker', (worker) => {
    // Once it has ended, its number is gone.
    const tag = worker.threadId
    worker.once('exit', () => listener(tag))
  })
}

function hasThreadEnded(fs: FileSystem, { number, made }: Lifeline): boolean {
  try {
    fs.statSync(`/proc/self/task/${number}`)
  } catch (error) {
    return isOneOf(error, 'ENOENT', 'ESRCH') && canReadProc(fs)
  }
  const start = startOf(fs, number)
  return made !== 0 && start !== 0 && start !== made
}

/** Whether `/proc` still shows this process: else it says of every thread that it is not there. */
function canReadProc(fs: FileSystem): boolean {
  try {
    fs.statSync('/proc/thread-self')
    return true
  } catch {
    return false
  }
}

function isFileClosed(fs: FileSystem, { kind, number, made }: Lifeline): boolean {
  try {
    const status = fs.fstatSync(kind - 1)
    return status.ino !== number || markOf(status) !== made
  } catch (error) {
    return isOneOf(error, 'EBADF')
  }
}

type Means = Omit<Lifeline, 'tag'>

function findSystemThread(): Means | undefined {
  if (!node) return undefined
  try {
    const link = node.fs.readlinkSync('/proc/thread-self')
    const number = Number(/\/task\/(\d+)$/.exec(link)?.[1])
    // Others look here, by way of the process.
    node.fs.statSync(`/proc/self/task/${number}`)
    return { kind: SYSTEM_THREAD, number, made: startOf(node.fs, number) }
  } catch {
    return undefined
  }
}

/** When a system thread started, in the system's ticks; 0 where that cannot be read now. */
function startOf(fs: FileSystem, number: number): number {
  try {
    const status = fs.readFileSync(`/proc/self/task/${number}/stat`, 'latin1')
    // The name, in brackets, can have spaces and brackets in it.
    const fields = status.slice(status.lastIndexOf(')') + 2).split(' ')
    return Number(fields[START_FIELD]) || 0
  } catch {
    return 0
  }
}

function openFile(): Means | undefined {
  if (!node) return undefined
  const { fs, os, threads } = node
  try {
    const path = `${os.tmpdir()}/lockwise-${process?.pid}-${threads.threadId}-${Math.random()}`
    const descriptor = fs.openSync(path, 'wx')
    fs.unlinkSync(path)
    fs.ftruncateSync(descriptor, Math.floor(Math.random() * MAX_FILE_BYTES))
    const status = fs.fstatSync(descriptor)
    return { kind: descriptor + 1, number: status.ino, made: markOf(status) }
  } catch {
    return undefined
  }
}

/** One number for the time and the length of a file. */
function markOf({ mtimeMs, size }: FileStatus): number {
  return mtimeMs + size
}

function isOneOf(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes((error as { readonly code?: string } | null)?.code ?? '')
}

function isWorker(): boolean {
  return node ? !node.threads.isMainThread : 'WorkerGlobalScope' in globalThis
}

function warn(): void {
  const reason = node
    ? `neither can /proc/thread-self be read nor a file be made in ${node.os.tmpdir()}`
    : 'this runtime has no means for that'
  emitWarning(
    'lockwise/threads: other threads cannot see whether this one has ended: ' +
      `${reason}. If it ends while it holds locks, threads that block for them wait until the thread ` +
      'that started it runs its event loop, and may wait forever',
  )
}

function loadNode(): Node | undefined {
  const threads = builtin<Node['threads']>('node:worker_threads')
  const fs = builtin<Node['fs']>('node:fs')
  const os = builtin<Node['os']>('node:os')
  return threads && fs && os && { threads, fs, os }
}
