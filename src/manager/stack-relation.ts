/**
 * Compares the call stacks of two requests: did one function make both?
 *
 * The calls that both stacks share at their inner ends are helpers, and are left out: `lock()` called by two
 * handlers shows nothing about the handlers. The first calls that differ decide. A function is identified by
 * its file and its start. If the runtime does not provide the start, its name and file identify it. Functions
 * without a name in one file then cannot be distinguished.
 *
 * Cost: the lines of both stacks, split once each.
 */

import { functionStart } from './function-starts.ts'

/** The relation between the call stacks of two requests. */
export type StackRelation =
  | 'unknown'
  | 'same call site'
  | 'recursion'
  | 'same function'
  | 'related'
  | 'unrelated'

/** A call in a stack: its position and its function. */
interface Call {
  readonly at: string
  /** The name without its object, and the file. The name is `''` if there is none. */
  readonly name: string
  readonly file: string
}

/** The relation of two call stacks from `CallSites`; `''` is one that was not kept. */
export function stackRelation(stack: string, other: string): StackRelation {
  const [calls, others] = [callsIn(stack), callsIn(other)]
  if (calls.length === 0 || others.length === 0) return 'unknown'
  let i = 0
  while (i < calls.length && calls[i]?.at === others[i]?.at) i++
  const [call, second] = [calls[i], others[i]]
  if (call === undefined || second === undefined) {
    // One stack may be that of a recursive call within the other.
    const rest = [...calls.slice(i), ...others.slice(i)]
    const isAgain = rest.some((one) => isKnown(one) && isSame(one, calls[0] as Call))
    return isAgain ? 'recursion' : 'same call site'
  }
  if (isSame(call, second)) return isKnown(call) ? 'same function' : 'related'
  const isRelated =
    others.slice(i).some((one) => isSame(one, call)) ||
    calls.slice(i).some((one) => isSame(one, second))
  return isRelated ? 'related' : 'unrelated'
}

/** Whether a relation shows that one function made both requests. */
export function isSameTask(relation: StackRelation): boolean {
  return relation === 'same function' || relation === 'same call site' || relation === 'recursion'
}

/** Whether both are calls in one function, as far as functions can be distinguished. */
function isSame(a: Call, b: Call): boolean {
  if (a.file !== b.file) return false
  const [start, other] = [functionStart(a.at), functionStart(b.at)]
  return start === undefined || other === undefined ? a.name === b.name : start === other
}

/** Whether a call's function can be distinguished from the others of its file. */
function isKnown({ name, at }: Call): boolean {
  return name !== '' || functionStart(at) !== undefined
}

/** A cache of the stacks that were split. */
const split = new Map<string, readonly Call[]>()
const MAX_SPLIT = 1000

function callsIn(stack: string): readonly Call[] {
  const known = split.get(stack)
  if (known) return known
  const calls: Call[] = []
  for (const line of stack.split('\n')) {
    const call = callOf(line)
    if (call) calls.push(call)
  }
  if (split.size >= MAX_SPLIT) split.clear()
  split.set(stack, calls)
  return calls
}

/**
 * Parses a call as V8 (`at name (file:line:column)`) or JavaScriptCore (`name@file:line:column`) writes it.
 */
function callOf(line: string): Call | undefined {
  const text = line.replace(/^at (async )?/, '')
  const [, name = '', at = text] =
    /^(.*?) \((.*)\)$/.exec(text) ?? (line === text ? /^([^@\s/]*)@(.*)$/.exec(text) : null) ?? []
  const file = /^(.*?):\d+(:\d+)?$/.exec(at)?.[1]
  // Neither `Promise.all (index 0)` nor `Array.map (<anonymous>)` is a call of the program.
  if (file === undefined) return undefined
  const [method = ''] = /[^.\s]*$/.exec(name.replace(/ \[as .*\]$/, '')) ?? []
  return { at, name: method === '<anonymous>' ? '' : method, file }
}
