/**
 * Call stacks and call sites as text. A call stack has one line for each call, innermost first, and no
 * heading. A call site is the innermost call in the program's own code.
 */

/** The call site of a call stack, without the word `at`; `undefined` for an empty stack. */
export function innermost(stack: string): string | undefined {
  const call = firstCall(stack)
  return call === '' ? undefined : call.replace(/^at (async )?/, '')
}

/** The innermost call of a call stack, unchanged; `''` for an empty stack. */
export function firstCall(stack: string): string {
  const end = stack.indexOf('\n')
  return end < 0 ? stack : stack.slice(0, end)
}

/** The innermost call of a call stack in brackets, for a message; `''` for an empty stack. */
export function callSite(stack: string): string {
  const call = firstCall(stack)
  return call === '' ? '' : ` (${call})`
}

/** Returns an error's stack as if it began at `calls`, for an error made after its caller had returned. */
export function stackBeginningAt(error: Error, calls: string): string {
  return [
    `${error.name}: ${error.message}`,
    ...calls.split('\n').map((call) => `    ${call}`),
  ].join('\n')
}
