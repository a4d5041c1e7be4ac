/** Writes warnings: as one of the process where there is one, else on the console. */

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
/** A fake clock may stand in its place when a warning is written, and nothing comes of that. */
const nextTick = process && original('nextTick', process)

/** Writes a warning, whatever fake clock is in place. Throws nothing. */
export function emitWarning(text: string): void {
  try {
    if (process?.emitWarning) {
      emitByProcess(process, text)
      return
    }
  } catch {
    // Node reads `Error.stackTraceLimit`, which may be an accessor of the program's that throws.
  }
  try {
    console.warn(`${TYPE}: ${text}`)
  } catch {
    // No request may fail because a report cannot be written.
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
 * Writes a warning to stderr before it returns, for a thread that blocks: a warning of the process would
 * be written when the thread no longer blocks, and what a worker logs when the main thread does not.
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
    // Closed, or a pipe that is full and that nobody reads: a wait must not fail for that.
  }
}

/** Whether the program was started without warnings of this type. */
function isSilenced(): boolean {
  const { execArgv = [], env = {} } = process ?? {}
  return (
    env.NODE_NO_WARNINGS === '1' ||
    execArgv.includes('--no-warnings') ||
    execArgv.includes(`--disable-warning=${TYPE}`)
  )
}

/** Whether a function is one of a fake clock, not one that an instrumentation put in place. */
function isFake(method: unknown): boolean {
  return (method as { readonly clock?: unknown } | undefined)?.clock !== undefined
}
