/**
 * Remembers where the functions in call stacks begin. This distinguishes functions with the same name, and
 * unnamed functions in one file.
 *
 * V8 knows this only while it formats a stack, so the first reading of a kept stack records it. The text is
 * still what the program's own `Error.prepareStackTrace` makes of it. Nothing is recorded where the runtime
 * itself maps positions to sources (`--enable-source-maps`, Deno, Bun).
 *
 * Cost: a map entry for each call site.
 */

/** The members of V8's call sites that are read. */
interface Site {
  /** Where the function begins; line and column count from 1. */
  getEnclosingLineNumber?(): number | null
  getEnclosingColumnNumber?(): number | null
  toString(): string
}

const MAX_STARTS = 10_000
const starts = new Map<string, string>()

/** Where the function of a call begins, as `line:column`; `undefined` if that is not known. */
export function functionStart(position: string): string | undefined {
  return starts.get(position)
}

/** The position in a stack's line without `at`, such as `name (file:line:column)` or `file:line:column`. */
export function positionIn(call: string): string {
  return /\((.*)\)$/.exec(call)?.[1] ?? call.replace(/^async /, '')
}

/**
 * Calls `read`, and notes where the functions begin in each stack that V8 formats during the call. It notes
 * nothing if `Error.prepareStackTrace` cannot be replaced, as with frozen intrinsics.
 */
export function notingStarts<Result>(read: () => Result): Result {
  const restore = isMapped() ? undefined : noteWhileFormatting()
  try {
    return read()
  } finally {
    restore?.()
  }
}

/** Replaces `Error.prepareStackTrace`. Returns a function that restores it; `undefined` if that is not possible. */
function noteWhileFormatting(): (() => void) | undefined {
  try {
    const { prepareStackTrace } = Error
    Error.prepareStackTrace = (error: Error, sites: readonly Site[]): unknown => {
      note(sites)
      if (typeof prepareStackTrace === 'function') return prepareStackTrace(error, sites as never)
      return ['Error', ...sites.map((site) => `    at ${site}`)].join('\n')
    }
    return () => {
      try {
        Error.prepareStackTrace = prepareStackTrace
      } catch {
        // A value that could not be set need not be restored.
      }
    }
  } catch {
    return undefined
  }
}

function note(sites: readonly Site[]): void {
  if (starts.size > MAX_STARTS) starts.clear()
  for (const site of sites) {
    const line = site.getEnclosingLineNumber?.()
    const column = site.getEnclosingColumnNumber?.()
    if (line && column) starts.set(positionIn(String(site)), `${line}:${column}`)
  }
}

/** Whether the runtime's own stacks have positions other than V8's. */
function isMapped(): boolean {
  const { process } = globalThis as { process?: { readonly sourceMapsEnabled?: boolean } }
  return 'Bun' in globalThis || 'Deno' in globalThis || process?.sourceMapsEnabled === true
}
