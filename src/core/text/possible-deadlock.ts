/** Formats a possible deadlock. */

import { visible } from '../format.ts'
import type { PossibleDeadlockReport } from '../report.ts'

/** Formats a possible deadlock as several lines: each order with both call stacks, and the remedy. */
export function possibleDeadlockText({ cycle, similar }: PossibleDeadlockReport): string {
  const lines = [
    `Possible deadlock: locks are taken in ${cycle.length} orders that contradict each other, whether or not anything hung.`,
    '',
  ]
  for (const edge of cycle) {
    const { label, held, wanted, heldAs, wantedAs } = edge
    const example =
      held === heldAs && wanted === wantedAs ? '' : ` ('${heldAs}', then '${wantedAs}')`
    lines.push(visible(`  ${label}: '${held}', then '${wanted}' while holding it${example}`))
    lines.push(...callLines('held at', edge.heldAt))
    if (edge.similarHeldAt) lines.push(...callLines('perhaps', edge.similarHeldAt))
    lines.push(...callLines('wanted at', edge.wantedAt))
  }
  const names = cycle
    .map(({ held, heldAs }) => `'${visible(held)}${held === heldAs ? '' : ':…'}'`)
    .sort()
  lines.push(
    '',
    `What to change: take ${names.slice(0, -1).join(', ')} and ${names.at(-1)} in one request, or in the ` +
      'same order everywhere.',
  )
  if (similar > 0) {
    lines.push(
      `Since the first report of these call sites there were ${similar} more cycles of them; ` +
        `the next report comes when there are ${similar * 10}.`,
    )
  }
  return lines.join('\n')
}

/** The calls of a stack, a line each, innermost first. */
function callLines(what: string, stack: string | undefined): string[] {
  if (stack === undefined) return [`    ${what}: not kept (callSites: 'always' keeps all)`]
  return stack
    .split('\n')
    .map((call, i) => visible(`    ${(i === 0 ? what : '').padEnd(9)} ${call.replace(/^at /, '')}`))
}
