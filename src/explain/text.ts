/** Reports other than deadlocks as text: possible deadlocks, and what lasts too long. */

import type { PossibleDeadlockReport, SlowReport } from '../core/report.ts'
import { visible } from '../core/visible.ts'

/** A possible deadlock as text of several lines: each way round, with both places, and the cure. */
export function possibleDeadlockText({ cycle }: PossibleDeadlockReport): string {
  const lines = [
    `Possible deadlock: locks are taken in ${cycle.length} orders that contradict each other, whether or not anything hung.`,
    '',
  ]
  for (const edge of cycle) {
    const { label, held, wanted, heldAs, wantedAs } = edge
    const example =
      held === heldAs && wanted === wantedAs ? '' : ` ('${heldAs}', then '${wantedAs}')`
    lines.push(visible(`  ${label}: '${held}', then '${wanted}' while holding it${example}`))
    lines.push(...placeLines('held at', edge.heldAt))
    if (edge.similarHeldAt) lines.push(...placeLines('like', edge.similarHeldAt))
    lines.push(...placeLines('wanted at', edge.wantedAt))
  }
  const names = cycle
    .map(({ held, heldAs }) => `'${visible(held)}${held === heldAs ? '' : ':…'}'`)
    .sort()
  lines.push(
    '',
    `What to change: take ${names.slice(0, -1).join(', ')} and ${names.at(-1)} in one request, or in the ` +
      'same order everywhere.',
  )
  return lines.join('\n')
}

/** A wait or a holding that lasts too long, in one line. */
export function slowText({ state, label, names, lastsMs, blockers }: SlowReport): string {
  const verb = state === 'waiting' ? 'has waited for' : 'has held'
  const behind = blockers.length > 0 ? `, behind ${blockers.join(', ')}` : ''
  const list = names.map((name) => `'${name}'`).join(', ')
  return visible(`${label} ${verb} ${list} for ${Math.round(lastsMs)} ms${behind}`)
}

/** The calls of a place, the innermost first, each on its line. */
function placeLines(what: string, place: string): string[] {
  if (place === '') return [`    ${what}: not kept (places: 'always' keeps all)`]
  return place
    .split('\n')
    .map((call, i) => visible(`    ${(i === 0 ? what : '').padEnd(9)} ${call.replace(/^at /, '')}`))
}
