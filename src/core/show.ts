/** Shows in error messages the values that a caller passed. */

/** A message shows this many UTF-16 code units of a value. */
const MAX_LENGTH = 40

/** A value as a message shows it: short, and without calling anything of the value's own. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `'${start(value)}'`
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'bigint') return `${value}n`
  return typeof value === 'object' && value !== null ? kindOf(value) : start(String(value))
}

/** An object as a word with an article: that of its class, if it is one that is passed by mistake. */
export function kindOf(value: object): string {
  try {
    if (Array.isArray(value)) return 'an array'
    if (value instanceof Set) return 'a Set'
    if (value instanceof Map) return 'a Map'
    if (value instanceof AbortController) return 'an AbortController'
    const tag = Object.prototype.toString.call(value).slice('[object '.length, -1)
    if (ArrayBuffer.isView(value)) return `a ${tag}`
    if (tag === 'Generator') return 'a generator'
    if (tag === 'AsyncGenerator') return 'an async generator'
  } catch {
    // A proxy that was revoked, or throws.
  }
  return 'an object'
}

function start(text: string): string {
  return text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text
}
