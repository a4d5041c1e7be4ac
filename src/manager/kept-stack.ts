/** Captures the call stacks of requests, and finds the program's own lines in them. */

import { frameIn } from '../core/await-chain.ts'
import type { Caller } from '../core/errors.ts'
import { notingStarts } from './function-starts.ts'

/**
 * Captures the caller's stack. `undefined` if that throws: a program may put its own functions on `Error`.
 */
export function capture(caller: Caller): { readonly stack?: string } | undefined {
  try {
    if (!Error.captureStackTrace || isBun) return new Error('here')
    const kept: { stack?: string } = {}
    Error.captureStackTrace(kept, caller)
    return kept
  } catch {
    return undefined
  }
}

/**
 * Bun makes tail calls: a public method that ends in a call is no longer on the stack. `captureStackTrace`
 * with that method as `caller` would find no calls at all.
 */
const isBun = 'Bun' in globalThis

/**
 * The calls of this library that can be among the program's, by name and file: those that lead to a callback,
 * and those from a public method to here, if the stack does not begin at the caller.
 */
const OWN_CALL =
  /\b(startAtOnce|startNested|startAfter|start|settleWithProof|call|callStolen|callWithNull|request|acquire|tryAcquire|requestInScope|acquireInScope|tryAcquireInScope)\b.*\bmanager.(engine|outcomes|callbacks|requester|lock-manager|scope)\.[cm]?[jt]s:\d/

/** A call of the runtime itself, as Node, Deno and Bun write it. It shows nothing of the program. */
const RUNTIME_CALL = /\b(node:internal\/|ext:|native:)/

/** The folder of this file, as call stacks write it: a program may have its own `manager/engine.ts`. */
const OWN_FOLDER = /([^\s(@]*)\bkept-stack\.[cm]?[jt]s:\d/.exec(
  String(stackOf(new Error('here'))),
)?.[1]

/** The call that reads an await chain; the chain begins there. */
const CHAIN_CALL = /\breadAwaitChain\b.*\bcore.await-chain\.[cm]?[jt]s:\d/

function isOwn(call: string): boolean {
  if (OWN_FOLDER === undefined) return false
  return (call.includes(OWN_FOLDER) && OWN_CALL.test(call)) || CHAIN_CALL.test(call)
}

/** A stack. `undefined` if reading it throws: that may call the program's `Error.prepareStackTrace`. */
export function stackOf(kept: { readonly stack?: string } | undefined): unknown {
  try {
    return kept?.stack
  } catch {
    return undefined
  }
}

/** The results of reading a stack. */
interface Known {
  readonly lines: string
  readonly isAfterAwait: boolean
}

const known = new WeakMap<object, Known>()

/**
 * A stack's calls, one a line, without the heading, the indentation, and the calls of this library and the
 * runtime.
 */
export function linesOf(kept: { readonly stack?: string } | undefined): string {
  return kept === undefined ? '' : read(kept).lines
}

/** Whether an `await` resumed the code that made the call: see {@link isResumed}. */
export function isAfterAwait(kept: { readonly stack?: string } | undefined): boolean {
  return kept !== undefined && read(kept).isAfterAwait
}

function read(kept: { readonly stack?: string }): Known {
  const found = known.get(kept)
  if (found) return found
  const lines = linesIn(notingStarts(() => stackOf(kept)))
  const made = { lines: callsOf(lines, false), isAfterAwait: isResumed(lines) }
  known.set(kept, made)
  return made
}

/** The calls of a stack from the caller on, including the runtime's, as V8 or JavaScriptCore writes them. */
function linesIn(stack: unknown): string[] {
  if (typeof stack !== 'string') return []
  const lines = stack.split('\n').filter((line) => /^\s+at |@/.test(line))
  // Where the stack does not begin at the caller, this skips the calls of this library that led here.
  const start = lines.findIndex((line) => !OWN_FOLDER || !line.includes(OWN_FOLDER))
  return lines.slice(start < 0 ? lines.length : start)
}

/** The number of calls in V8's stacks, unless the program has set another limit. */
const MAX_CALLS = 10

/**
 * Whether an `await` resumed the code that made the call. Then the stack, from the call outwards, reaches an
 * async call or the microtask queue before it reaches a call of this library or of Node.
 */
function isResumed(lines: readonly string[]): boolean {
  for (const line of lines) {
    if (/^\s+at async |\bprocessTicksAndRejections\b/.test(line)) return true
    if (isOwn(line) || /\bnode:/.test(line)) return false
  }
  return lines.length > 0 && lines.length < MAX_CALLS
}

export function callsIn(stack: unknown, withFrames: boolean): string {
  return callsOf(linesIn(stack), withFrames)
}

function callsOf(lines: readonly string[], withFrames: boolean): string {
  return lines
    .map((line) => line.trim())
    .filter((line) => !isOwn(line) && !RUNTIME_CALL.test(line))
    .filter((line) => withFrames || frameIn(line) === 0)
    .join('\n')
}
