/**
 * Lifelines: how threads notice that another one has ended. A thread can be terminated at any step, and then
 * reports nothing.
 *
 * Source    the robust futexes of Linux know a thread by its system number too; the unnamed file is ours.
 * Steps     1. On Linux a thread's lifeline is its system thread. `/proc/thread-self` gives its number.
 *              `/proc/self/task/<number>` exists until it ends, and its `stat` says when it started,
 *              because numbers are used again. A waiting thread can check at once, without an event loop.
 *           2. Without `/proc`, a worker that opens a table opens a file of its own and unlinks it. The
 *              system closes a worker's file descriptors when the worker ends. A waiting thread checks
 *              whether the descriptor is still that file. The file has a random length, because two files
 *              can have the same number and time within a tick of the clock.
 *           3. Node reports to a thread each worker that it starts, and that worker's end.
 * Invariant A lifeline counts as ended only if the system says so. Every other error (no descriptor left, no
 *           permission, no `/proc` any more) means that it is not known to have ended: a live thread that
 *           counted as dead would lose its locks.
 * Cost      a check is one or two system calls, some microseconds. A thread with thousands of waiting tasks
 *           checks every other thread some twenty times a second, not once for each task. The first method
 *           needs a descriptor for a moment, to read when the thread started; the second needs one for each
 *           worker.
 * Limits    Without the first two methods, only the third is left. It needs a parent that has loaded this
 *           file and runs its event loop; the worker warns once. Workers made with `trackUnmanagedFds: false`
 *           lack the second: their files stay open. The main thread needs no lifeline: it ends last.
 */

import { builtin } from '../../core/builtin.ts'
import { elapsedMs } from '../../core/clock.ts'
import { writeWarning } from '../../core/emit-warning.ts'
import { LockUsageError } from '../../core/errors.ts'
import {
  closesFiles,
  type DescriptorSystem,
  hasCode,
  isFileClosed,
  openFile,
} from './lifeline-file.ts'

/** A thread as other threads can check it. */
export interface Lifeline {
  /** The runtime's number of the thread: 0 for Node's main thread; random if the runtime gives none. */
  readonly tag: number
  /** NO_LIFELINE, SYSTEM_THREAD, or one more than a file descriptor. */
  readonly kind: number
  /** The number of the system thread, or of the file. */
  readonly number: number
  /** When the thread started, 0 if unknown; or when the file was made, plus its length. */
  readonly made: number
}

/** Other threads cannot notice this thread's end. */
export const NO_LIFELINE = 0
/** Other threads can look up this thread's system thread. */
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

interface FileSystem extends DescriptorSystem {
  statSync(path: string): unknown
  readlinkSync(path: string): string
  readFileSync(path: string, encoding: 'latin1'): string
}

interface NodeProcess {
  readonly versions?: { readonly node?: string }
  on?(event: 'worker', listener: (worker: StartedWorker) => void): void
}

interface StartedWorker {
  readonly threadId: number
  once(event: 'exit', listener: () => void): void
}

/** The index of the start time (field 22 of `stat`) among the fields after the thread's name (field 2). */
const START_FIELD = 19
/**
 * A thread that was seen alive counts as alive for this long: half the time between two checks of one waiter
 * (MAX_SLEEP_MS in wait.ts). So a thread with only one wait asks the system at each check.
 */
const RECENT_MS = 50

const { process } = globalThis as { readonly process?: NodeProcess }
const node = loadNode()
/** Read when this file is loaded, if possible: later there may be no descriptor left. */
let own = node && ownSystemThread(node)
/**
 * When threads, by the tags of their lifelines, were last seen alive: within the last RECENT_MS, oldest
 * first.
 */
const seenMs = new Map<number, number>()

/** This thread's lifeline. Warns, once, if this thread can have none. */
export function ownLifeline(): Lifeline {
  if (node === undefined && process?.versions?.node !== undefined) {
    throw new LockUsageError(
      `lockwise/threads needs Node.js 20.16 or newer, not ${process.versions.node}: ` +
        'older versions cannot detect that a thread has ended while it held locks',
    )
  }
  own ??= (node && ownSystemThread(node)) ?? ownOther()
  // Without the start time, another thread that gets this one's system number would be mistaken for it.
  if (node && own.kind === SYSTEM_THREAD && own.made === 0) {
    own = { ...own, made: startOf(node.fs, own.number) }
  }
  return own
}

/** This thread's lifeline if it is not the system thread. */
function ownOther(): Lifeline {
  const tag = node?.threads.threadId ?? Math.floor(Math.random() * 2 ** 28)
  const none = { tag, kind: NO_LIFELINE, number: 0, made: 0 }
  if (!isWorker()) return none
  if (!node) return warned(none, 'this runtime has no means for that')
  if (!closesFiles(node.fs)) {
    const kept = 'its files stay open when it ends (trackUnmanagedFds: false)'
    return warned(none, `/proc/thread-self cannot be read, and ${kept}`)
  }
  const folder = node.os.tmpdir()
  const file = openFile(node.fs, folder)
  if (file) return { tag, ...file }
  return warned(none, `neither can /proc/thread-self be read nor a file be made in ${folder}`)
}

/** Whether the thread of a lifeline is known to have ended. */
export function hasEnded(lifeline: Lifeline): boolean {
  if (lifeline.kind === NO_LIFELINE || !node) return false
  const ask = lifeline.kind === SYSTEM_THREAD ? hasThreadEnded : isFileClosed
  if (!ask(node.fs, lifeline)) return false
  seenMs.delete(lifeline.tag)
  return true
}

/**
 * The same for repeated checks: returns false, without asking the system, for a thread that was seen alive
 * within RECENT_MS.
 */
export function hasEndedLately(lifeline: Lifeline): boolean {
  const { tag } = lifeline
  const at = elapsedMs()
  for (const [old, ms] of seenMs) {
    if (at - ms < RECENT_MS) break
    seenMs.delete(old)
  }
  if (seenMs.has(tag)) return false
  if (hasEnded(lifeline)) return true
  seenMs.set(tag, at)
  return false
}

/** Calls `listener` with the number of each thread that this one starts, after that thread has ended. */
export function onThreadEnd(listener: (tag: number) => void): void {
  process?.on?.('worker', (worker) => {
    // Read now: an ended worker has no number.
    const tag = worker.threadId
    worker.once('exit', () => listener(tag))
  })
}

function hasThreadEnded(fs: FileSystem, { number, made }: Lifeline): boolean {
  try {
    fs.statSync(`/proc/self/task/${number}`)
  } catch (error) {
    return hasCode(error, 'ENOENT', 'ESRCH') && canReadProc(fs)
  }
  const start = startOf(fs, number)
  return made !== 0 && start !== 0 && start !== made
}

/** Whether `/proc` still shows this process. If not, every thread seems to be missing there. */
function canReadProc(fs: FileSystem): boolean {
  try {
    fs.statSync('/proc/thread-self')
    return true
  } catch {
    return false
  }
}

function ownSystemThread({ fs, threads }: Node): Lifeline | undefined {
  if (threads.isMainThread) return undefined
  try {
    const link = fs.readlinkSync('/proc/thread-self')
    const number = Number(/\/task\/(\d+)$/.exec(link)?.[1])
    // Other threads look here, through the process.
    fs.statSync(`/proc/self/task/${number}`)
    return { tag: threads.threadId, kind: SYSTEM_THREAD, number, made: startOf(fs, number) }
  } catch {
    return undefined
  }
}

/** When a system thread started, in ticks of the system; 0 if that cannot be read now. */
function startOf(fs: FileSystem, number: number): number {
  try {
    const status = fs.readFileSync(`/proc/self/task/${number}/stat`, 'latin1')
    // The name, in brackets, can contain spaces and brackets.
    const fields = status.slice(status.lastIndexOf(')') + 2).split(' ')
    return Number(fields[START_FIELD]) || 0
  } catch {
    return 0
  }
}

function isWorker(): boolean {
  return node ? !node.threads.isMainThread : 'WorkerGlobalScope' in globalThis
}

/** Warns, and returns the lifeline. */
function warned(lifeline: Lifeline, reason: string): Lifeline {
  // Write at once: a warning of the process appears only when the main thread runs its event loop, if ever.
  writeWarning(
    'lockwise/threads: other threads cannot see whether this one has ended: ' +
      `${reason}. If it ends while it holds locks, threads that block for them wait until the thread ` +
      'that started it runs its event loop, and may wait forever: in that thread, take locks with holdAsync',
  )
  return lifeline
}

function loadNode(): Node | undefined {
  const threads = builtin<Node['threads']>('node:worker_threads')
  const fs = builtin<Node['fs']>('node:fs')
  const os = builtin<Node['os']>('node:os')
  return threads && fs && os && { threads, fs, os }
}
