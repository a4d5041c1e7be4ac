/** Call stacks of requests: how they are kept, and which of their lines are the program's. */

import { frameIn } from '../core/await-chain.ts'
import type { Caller } from '../core/errors.ts'
import { stackNotingStarts } from './function-starts.ts'

/** The program may have put its own functions and accessors on `Error`, and these may throw. */
export function capture(caller: Caller): { readonly stack?: string } | undefined {
  try {
    if (!Error.captureStackTrace || isBun) return new Error('here')
    const place: { stack?: string } = {}
    Error.captureStackTrace(place, caller)
    return place
  } catch {
    return undefined
  }
}

/** Bun has left the caller by then where that ends in our call, and would find no calls at all. */
const isBun = 'Bun' in globalThis

/**
 * Our own calls, by name and file: of the callback, where a stack goes on beyond it; and those in which
 * JavaScriptCore leaves the caller's.
 */
const OWN_CALL =
  /\b(startAtOnce|startNested|startAfter|start|settleWithProof|call|callRobbed|callWithNull|request|acquire|tryAcquire|requestInScope|acquireInScope|tryAcquireInScope)\b.*\bmanager.(engine|outcomes|callbacks|requester|lock-manager|scope)\.[cm]?[jt]s:\d/

/** A call of the runtime itself, as Node, Deno and Bun write it: it says nothing of the program. */
const RUNTIME_CALL = /\b(node:internal\/|ext:|native:)/

/** The folder of this file, as call stacks write it: not every `manager/engine.ts` is ours. */
const OWN_FOLDER = /([^\s(@]*)\bkept-stack\.[cm]?[jt]s:\d/.exec(
  String(stackOf(new Error('here'))),
)?.[1]

/** The call that reads an await chain, where the chain begins. */
const CHAIN_CALL = /\breadAwaitChain\b.*\bcore.await-chain\.[cm]?[jt]s:\d/

function isOwn(call: string): boolean {
  if (OWN_FOLDER === undefined) return false
  return (call.includes(OWN_FOLDER) && OWN_CALL.test(call)) || CHAIN_CALL.test(call)
}

/** `Error.prepareStackTrace` is the user's, is called to read a stack, and may throw. */
export function stackOf(place: { readonly stack?: string } | undefined): unknown {
  try {
    return place && stackNotingStarts(place)
  } catch {
    return undefined
  }
}

/** What is known of a stack that was read. */
interface Known {
  readonly lines: string
  readonly isAfterAwait: boolean
}

const known = new WeakMap<object, Known>()

/** A stack's calls, a line each, without heading, indentation, our own and the runtime's. */
export function linesOf(place: { readonly stack?: string } | undefined): string {
  return place === undefined ? '' : read(place).lines
}

/** Whether an `await` came before the call in the function that was called last by the runtime. */
export function isAfterAwait(place: { readonly stack?: string } | undefined): boolean {
  return place !== undefined && read(place).isAfterAwait
}

function read(place: { readonly stack?: string }): Known {
  const found = known.get(place)
  if (found) return found
  const stack = stackOf(place)
  const made = { lines: callsIn(stack, false), isAfterAwait: isResumed(stack) }
  known.set(place, made)
  return made
}

/** The calls of a stack from the caller's on, with the runtime's, as V8 or JavaScriptCore writes them. */
function linesIn(stack: unknown): string[] {
  if (typeof stack !== 'string') return []
  const lines = stack.split('\n').filter((line) => /^\s+at |@/.test(line))
  // Those through which the request came here, where the stack does not begin at the caller.
  const start = lines.findIndex((line) => !OWN_FOLDER || !line.includes(OWN_FOLDER))
  return lines.slice(start < 0 ? lines.length : start)
}

/** V8's stacks have this many calls, unless the program has set another limit. */
const MAX_CALLS = 10

/**
 * Whether the outermost of the calls that were not awaited is a function that an `await` resumed: then the
 * runtime's microtasks have called it, and not the code of a callback or of another function.
 */
function isResumed(stack: unknown): boolean {
  const lines = linesIn(stack)
  for (const line of lines) {
    if (/^\s+at async |\bprocessTicksAndRejections\b/.test(line)) return true
    if (isOwn(line) || /\bnode:/.test(line)) return false
  }
  return lines.length > 0 && lines.length < MAX_CALLS
}

export function callsIn(stack: unknown, withFrames: boolean): string {
  return linesIn(stack)
    .map((line) => line.trim())
    .filter((line) => !isOwn(line) && !RUNTIME_CALL.test(line))
    .filter((line) => withFrames || frameIn(line) === 0)
    .join('\n')
}
