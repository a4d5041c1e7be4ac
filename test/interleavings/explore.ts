/**
 * Explores all situations and faults, and prints the results: `npm run explore`, or `-- WORD` for some of it.
 */

import { broken } from './broken.ts'
import { loadCode } from './code.ts'
import type { Explored } from './explorer.ts'
import { situationNamed, situations } from './setups.ts'

const [wanted = ''] = process.argv.slice(2)
let faults = 0

console.log('Situations: states, paths from the beginning to an end, seconds.\n')
for (const { name, shows, changes, preemptions, explorer } of situations.filter((each) =>
  each.name.includes(wanted),
)) {
  const code = await loadCode(changes)
  const result = explorer(code).explore()
  code.remove()
  const bound = preemptions === undefined ? 'all' : `preemptions at most ${preemptions}`
  console.log(`${name} (${shows})\n  ${bound}: ${numbers(result)}`)
  if (!result.fault) continue
  faults++
  console.log([`  FAULT: ${result.fault.what}`, ...result.fault.path].join('\n    '))
}

console.log('\nBroken on purpose: what the explorer found, by the shortest path to it.\n')
for (const { what, changes, situation } of broken.filter((each) => each.what.includes(wanted))) {
  const where = situationNamed(situation)
  const code = await loadCode([...where.changes, ...changes])
  const result = where.explorer(code).explore()
  code.remove()
  if (!result.fault) faults++
  const found = result.fault
    ? `${result.fault.what}, in ${result.fault.path.length} steps`
    : 'NOTHING'
  console.log(`${what} (${situation})\n  ${found}; ${numbers(result)}`)
  // For a sequence of landing stores, the path says more than the fault.
  if (what.startsWith('x86')) console.log(['', ...(result.fault?.path ?? [])].join('\n    '))
}
process.exitCode = faults === 0 ? 0 : 1

function numbers({ states, schedules, seconds }: Explored): string {
  return `${states.toLocaleString('en-US')} states, ${schedules.toPrecision(3)} paths, ${seconds.toFixed(1)} s`
}
