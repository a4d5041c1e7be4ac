/**
 * Where the functions begin whose calls stand in call stacks. So functions without a name in one file, and
 * functions with one name, can be distinguished.
 *
 * V8 knows this only while it formats a stack. So the first reading of a kept stack notes it on the side; the
 * text stays what the program's own `Error.prepareStackTrace` makes of it. Nothing is noted where the runtime
 * itself maps positions to sources (`--enable-source-maps`, Deno, Bun).
 *
 * Cost: a map entry for each call site.
 */

/** The part of V8's call sites that is read. */
interface Site {
  /** Where the function begins, both from 1. */
  getEnclosingLineNumber?(): number | null
  getEnclosingColumnNumber?(): number | null
  toString(): string
}

const MAX_STARTS = 10_000
const starts = new Map<string, string>()

/** Where the function begins in which a call stands, `line:column`; `undefined` where that is not known. */
export function functionStart(position: string): string | undefined {
  return starts.get(position)
}

/** The file and position of a call in a stack's line, without `at`: `name (file:line:column)`, or without a name. */
export function positionIn(call: string): string {
  return /\((.*)\)$/.exec(call)?.[1] ?? call.replace(/^async /, '')
}

/** A stack, or whatever the program's `Error.prepareStackTrace` makes of it. Notes where its functions begin. */
export function stackNotingStarts(place: { readonly stack?: string }): unknown {
  if (isMapped()) return place.stack
  const { prepareStackTrace } = Error
  try {
    Error.prepareStackTrace = (error: Error, sites: readonly Site[]): unknown => {
      note(sites)
      if (typeof prepareStackTrace === 'function') return prepareStackTrace(error, sites as never)
      return ['Error', ...sites.map((site) => `    at ${site}`)].join('\n')
    }
    return place.stack
  } finally {
    Error.prepareStackTrace = prepareStackTrace
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

/** Whether the runtime's own stacks name other positions than V8's. */
function isMapped(): boolean {
  const { process } = globalThis as { process?: { readonly sourceMapsEnabled?: boolean } }
  return 'Bun' in globalThis || 'Deno' in globalThis || process?.sourceMapsEnabled === true
}
