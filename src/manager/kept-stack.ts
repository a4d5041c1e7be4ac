/** Call stacks of requests: how they are kept, and which of their lines are the program's. */

import { frameIn } from '../core/await-chain.ts'
import type { Caller } from '../core/errors.ts'

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
    return place?.stack
  } catch {
    return undefined
  }
}

const known = new WeakMap<object, string>()

/** A stack's calls, a line each, without heading, indentation, our own and the runtime's. */
export function linesOf(place: { readonly stack?: string } | undefined): string {
  if (place === undefined) return ''
  const lines = known.get(place) ?? callsIn(stackOf(place), false)
  known.set(place, lines)
  return lines
}

export function callsIn(stack: unknown, withFrames: boolean): string {
  if (typeof stack !== 'string') return ''
  const lines = stack.split('\n').filter((line) => /^\s+at |@/.test(line))
  // Those through which the request came here, where the stack does not begin at the caller.
  const start = lines.findIndex((line) => !OWN_FOLDER || !line.includes(OWN_FOLDER))
  return lines
    .slice(start < 0 ? lines.length : start)
    .map((line) => line.trim())
    .filter((line) => !isOwn(line) && !RUNTIME_CALL.test(line))
    .filter((line) => withFrames || frameIn(line) === 0)
    .join('\n')
}
