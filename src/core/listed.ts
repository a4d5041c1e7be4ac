/** Lists, names and durations as messages show them. */

import { locksIn, type Plan } from './plan.ts'

/** A message shows this many elements of a list, and the number of all. */
const MAX_SHOWN = 10
/** A message shows this many UTF-16 code units of a name. */
const MAX_LENGTH = 100

/** The first elements of a list, and how many there are where there are more. */
export function listed(things: readonly string[]): string {
  const more = things.length > MAX_SHOWN ? `, … (${things.length} in all)` : ''
  return things.slice(0, MAX_SHOWN).join(', ') + more
}

/** The beginning of a name or label. */
export function brief(text: string): string {
  return text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text
}

/** A lock's name in quotes; a lock's number as it is. */
export function quoted(name: string | number): string {
  return typeof name === 'number' ? `lock ${name}` : `'${brief(name)}'`
}

/** The locks of a plan and their modes: a mode is written once where it is that of all. */
export function lockList(plan: Plan): string {
  const locks = locksIn(plan)
  if (locks.every(({ mode }) => mode === plan.mode)) {
    return `${listed(locks.map(({ name }) => quoted(name)))} (${plan.mode})`
  }
  return listed(locks.map(({ name, mode }) => `${quoted(name)} (${mode})`))
}

/** A duration: in milliseconds below 10 seconds, and then in larger units. */
export function duration(ms: number): string {
  if (ms < 10_000) return `${Math.max(0, Math.round(ms))} ms`
  if (ms < 120_000) return `${(ms / 1000).toFixed(1)} s`
  const minutes = Math.round(ms / 60_000)
  return minutes < 120 ? `${minutes} min` : `${(ms / 3_600_000).toFixed(1)} h`
}
