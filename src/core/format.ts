/** Formats values, names, lists and durations for messages and reports. */

import { locksIn, type Plan } from './plan.ts'

/** The number of elements of a list that a message shows, besides the count of all. */
const MAX_SHOWN = 10
/** The number of UTF-16 code units of a name that a message shows. */
const MAX_NAME = 100
/** The number of UTF-16 code units of a caller's value that a message shows. */
const MAX_VALUE = 40

/** Escapes, as `\u…`, the characters of a text that could forge lines or control a terminal. */
export function visible(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** The beginning of a name or label. */
export function brief(text: string): string {
  return shortened(text, MAX_NAME)
}

/** The beginning of a label; an empty label in quotes, so that a message shows it. */
export function labelText(label: string): string {
  return label === '' ? "''" : brief(label)
}

/** A lock's name in quotes, or a lock's number with the word "lock". */
export function quoted(name: string | number): string {
  return typeof name === 'number' ? `lock ${name}` : `'${brief(name)}'`
}

/** The first elements of a list, and the count of all if there are more. */
export function listed(things: readonly string[]): string {
  const more = things.length > MAX_SHOWN ? `, … (${things.length} in all)` : ''
  return things.slice(0, MAX_SHOWN).join(', ') + more
}

/** The locks of a plan with their modes; the mode is written once if all locks have the same. */
export function lockList(plan: Plan): string {
  const locks = locksIn(plan)
  if (locks.every(({ mode }) => mode === plan.mode)) {
    return `${listed(locks.map(({ name }) => quoted(name)))} (${plan.mode})`
  }
  return listed(locks.map(({ name, mode }) => `${quoted(name)} (${mode})`))
}

/** A duration: in milliseconds below 10 seconds, in larger units above. */
export function duration(ms: number): string {
  if (ms < 10_000) return `${Math.max(0, Math.round(ms))} ms`
  if (ms < 120_000) return `${(ms / 1000).toFixed(1)} s`
  const minutes = Math.round(ms / 60_000)
  return minutes < 120 ? `${minutes} min` : `${(ms / 3_600_000).toFixed(1)} h`
}

/** Shows a caller's value briefly, without running code of the value, such as `toString`. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `'${shortened(value, MAX_VALUE)}'`
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'bigint') return `${shortened(String(value), MAX_VALUE)}n`
  if (typeof value === 'object' && value !== null) return kindOf(value)
  return shortened(String(value), MAX_VALUE)
}

/** An object as a word with an article: names the class if objects of it are often passed by mistake. */
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
    // A proxy that is revoked, or that throws.
  }
  return 'an object'
}

function shortened(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}…` : text
}
