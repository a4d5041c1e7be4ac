/** Writes warnings: with `process.emitWarning` if there is one, else to the console. */

import { builtin } from './builtin.ts'
import { original } from './clock.ts'

interface Process {
  readonly pid?: number
  readonly execArgv?: readonly string[]
  readonly env?: Readonly<Record<string, string | undefined>>
  emitWarning?(text: string, options: { readonly type: string }): void
  nextTick?: unknown
}

interface FileSystem {
  writeSync(descriptor: number, text: string): number
}

const TYPE = 'LockwiseWarning'
const STDERR = 2

const { process } = globalThis as { readonly process?: Process }
/** The original, because a fake clock's `nextTick` may never run the code that writes the warning. */
const nextTick = process && original('nextTick', process)

/** Writes a warning, even under a fake clock. Throws nothing. */
export function emitWarning(text: string): void {
  try {
    if (process?.emitWarning) {
      emitByProcess(process, text)
      return
    }
  } catch {
    // Node reads `Error.stackTraceLimit`, which may be an accessor of the program that throws.
  }
  try {
    console.warn(`${TYPE}: ${text}`)
  } catch {
    // A report that cannot be written must not make a request fail.
  }
}

function emitByProcess(process: Process, text: string): void {
  const current = process.nextTick
  const isReplaced = current !== nextTick && isFake(current)
  try {
    if (isReplaced) process.nextTick = nextTick
    process.emitWarning?.(text, { type: TYPE })
  } finally {
    if (isReplaced) process.nextTick = current
  }
}

/**
 * Writes a warning to stderr before it returns, for a thread that is about to block. A process warning would
 * appear only after the thread unblocks, and a worker's log only after the main thread unblocks.
 */
export function writeWarning(text: string): void {
  if (isSilenced()) return
  const fs = builtin<FileSystem>('node:fs')
  if (!fs) {
    console.warn(`${TYPE}: ${text}`)
    return
  }
  try {
    fs.writeSync(STDERR, `(node:${process?.pid}) ${TYPE}: ${text}\n`)
  } catch {
    // Stderr is closed, or is a full pipe that nothing reads: the wait must not fail for that.
  }
}

/** Whether the program was started with warnings of this type disabled. */
function isSilenced(): boolean {
  const { execArgv = [], env = {} } = process ?? {}
  return (
    env.NODE_NO_WARNINGS === '1' ||
    execArgv.includes('--no-warnings') ||
    execArgv.includes(`--disable-warning=${TYPE}`)
  )
}

/** Whether a function belongs to a fake clock, not to an instrumentation. */
function isFake(method: unknown): boolean {
  return (method as { readonly clock?: unknown } | undefined)?.clock !== undefined
}
