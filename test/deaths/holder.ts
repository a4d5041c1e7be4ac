/**
 * A program of settings.ts: the main thread repeatedly blocks on a lock whose holder ends. Prints as JSON how
 * many deaths were reported and how long that took. Its argument is a {@link HolderOptions} as JSON.
 */

import { closeSync, openSync } from 'node:fs'
import { extname } from 'node:path'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import {
  OwnerDiedError,
  SharedLocks,
  type SharedLocksHandle,
} from '../../src/backends/threads/index.ts'

/** The options of the program. */
export interface HolderOptions {
  readonly deaths: number
  readonly memory: 'wasm' | 'buffer'
  /** Whether Node closes the files of a worker that has ended. Default true. */
  readonly trackUnmanagedFds?: boolean
  /** Whether the process has no file descriptor left while the holder opens the table and ends. */
  readonly noDescriptors?: boolean
}

/** The result of one run: how soon the deaths were seen. */
export interface HolderResult {
  readonly seen: number
  /** In milliseconds, from the moment before the end of the holder. */
  readonly timesMs: readonly number[]
  /** The first other result of a request. */
  readonly otherwise?: string
}

interface HolderData {
  readonly handle: SharedLocksHandle
  readonly flags: Int32Array
  readonly end: Float64Array
  readonly how: 'exit' | 'throw'
}

const FLAG = { ready: 0, go: 1, holds: 2 } as const
/** A death that is not seen in this time is missed. */
const MISSED_MS = 5000

if (isMainThread) main(JSON.parse(process.argv[2] ?? '{}') as HolderOptions)
else hold(workerData as HolderData)

function main({ deaths, memory, trackUnmanagedFds = true, noDescriptors }: HolderOptions): void {
  const timesMs: number[] = []
  let otherwise: string | undefined
  for (let death = 0; death < deaths; death++) {
    const locks = SharedLocks.create({ count: 2, memory })
    const flags = new Int32Array(new SharedArrayBuffer(16))
    const end = new Float64Array(new SharedArrayBuffer(8))
    const how = death % 2 === 0 ? 'exit' : 'throw'
    const data: HolderData = { handle: locks.handle, flags, end, how }
    const file = new URL(`./holder${extname(import.meta.url)}`, import.meta.url)
    const worker = new Worker(file, { workerData: data, trackUnmanagedFds })
    worker.on('error', () => {})
    Atomics.wait(flags, FLAG.ready, 0)
    const opened = noDescriptors ? openAll() : []
    Atomics.store(flags, FLAG.go, 1)
    Atomics.notify(flags, FLAG.go)
    Atomics.wait(flags, FLAG.holds, 0)
    try {
      locks.hold([1], { timeoutMs: MISSED_MS }, () => {})
      otherwise ??= 'it got the lock'
    } catch (error) {
      if (error instanceof OwnerDiedError) timesMs.push(now() - (end[0] as number))
      else otherwise ??= String(error)
    }
    for (const descriptor of opened) closeSync(descriptor)
  }
  const result: HolderResult = { seen: timesMs.length, timesMs, ...(otherwise && { otherwise }) }
  console.log(JSON.stringify(result))
  process.exit()
}

function hold({ handle, flags, end, how }: HolderData): void {
  Atomics.store(flags, FLAG.ready, 1)
  Atomics.notify(flags, FLAG.ready)
  Atomics.wait(flags, FLAG.go, 0)
  const locks = SharedLocks.open(handle, { label: 'the dead one' })
  locks.lock(1)
  end[0] = now()
  Atomics.store(flags, FLAG.holds, 1)
  Atomics.notify(flags, FLAG.holds)
  if (how === 'exit') process.exit()
  throw new Error('an end in misery')
}

/** Opens files until the system gives no more. */
function openAll(): number[] {
  const opened: number[] = []
  for (;;) {
    try {
      opened.push(openSync('/dev/null', 'r'))
    } catch {
      return opened
    }
  }
}

function now(): number {
  return performance.timeOrigin + performance.now()
}
