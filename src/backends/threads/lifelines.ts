/**
 * Lifelines: how threads see that another one has ended, though it can be terminated at any step and
 * then says nothing.
 *
 * Steps     1. A worker that opens a table opens a file of its own, which has no name any more. The
 *              system takes a worker's file descriptors back when it ends, however it ends. So anyone
 *              can ask, at once and without an event loop: is that descriptor still that file?
 *           2. Node tells a thread of every worker that it starts, and of that worker's end.
 * Cost      one file descriptor a worker; asking is one system call, some microseconds.
 * Limits    the first way ends with workers made with `trackUnmanagedFds: false`, and where no file
 *           can be made; the second needs a parent that has loaded this file and lets its event loop
 *           run. A thread that ends unseen by both keeps its locks. The main thread ends last.
 */

import { LockUsageError } from '../../core/errors.ts'

/** A thread as others can watch it. */
export interface Lifeline {
  /** The system's number of the thread: 0 for Node's main thread; a random one where there is none. */
  readonly tag: number
  /** Its file descriptor, -1 for none. */
  readonly descriptor: number
  /** The file behind that, and when it was made: numbers of files are used again, and soon. */
  readonly file: number
  readonly madeMs: number
}

/** The parts of Node that are used; absent in browsers. */
interface Node {
  readonly threads: {
    readonly threadId: number
    readonly isMainThread: boolean
  }
  readonly fs: {
    openSync(path: string, flags: string): number
    unlinkSync(path: string): void
    fstatSync(descriptor: number): { readonly ino: number; readonly mtimeMs: number }
  }
  readonly os: { tmpdir(): string }
}

interface NodeProcess {
  readonly pid: number
  readonly versions?: { readonly node?: string }
  getBuiltinModule?(id: string): unknown
  on?(event: 'worker', listener: (worker: StartedWorker) => void): void
}

interface StartedWorker {
  readonly threadId: number
  once(event: 'exit', listener: () => void): void
}

const { process } = globalThis as { readonly process?: NodeProcess }
const node = loadNode()
let own: Lifeline | undefined

/** This thread's lifeline. */
export function ownLifeline(): Lifeline {
  if (node === undefined && process?.versions?.node !== undefined) {
    throw new LockUsageError(
      `lockwise/threads needs Node.js 20.16 or newer, not ${process.versions.node}: ` +
        'it could not see a thread end that holds locks',
    )
  }
  own ??= { tag: node?.threads.threadId ?? Math.floor(Math.random() * 2 ** 28), ...openFile() }
  return own
}

/** Whether the thread of a lifeline has ended, as far as its file tells. */
export function hasEnded({ descriptor, file, madeMs }: Lifeline): boolean {
  if (descriptor < 0 || !node) return false
  try {
    const { ino, mtimeMs } = node.fs.fstatSync(descriptor)
    return ino !== file || mtimeMs !== madeMs
  } catch {
    return true
  }
}

/** Calls `listener` with the number of every thread that this one starts, when that one has ended. */
export function onThreadEnd(listener: (tag: number) => void): void {
  process?.on?.('worker', (worker) => {
    // Once it has ended, its number is gone.
    const tag = worker.threadId
    worker.once('exit', () => listener(tag))
  })
}

function openFile(): Omit<Lifeline, 'tag'> {
  const none = { descriptor: -1, file: 0, madeMs: 0 }
  if (!node || node.threads.isMainThread) return none
  const { fs, os, threads } = node
  try {
    const path = `${os.tmpdir()}/lockwise-${process?.pid}-${threads.threadId}-${Math.random()}`
    const descriptor = fs.openSync(path, 'wx')
    fs.unlinkSync(path)
    const { ino, mtimeMs } = fs.fstatSync(descriptor)
    return { descriptor, file: ino, madeMs: mtimeMs }
  } catch {
    return none
  }
}

function loadNode(): Node | undefined {
  const load = process?.getBuiltinModule
  if (!load) return undefined
  const [threads, fs, os] = ['node:worker_threads', 'node:fs', 'node:os'].map((id) =>
    load.call(process, id),
  )
  return { threads, fs, os } as Node
}
