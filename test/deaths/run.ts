/** Kills many tellers and prints what it came to: `npm run deaths`, or `-- KILLS`. */

import { runDeaths } from './deaths.ts'

const kills = Number(process.argv[2] ?? 1000)
let sound = true

for (const [strategy, accounts, repairs] of [
  ['ordered', 20, true],
  ['ordered', 1024, true],
  ['striped', 1024, true],
  ['ordered', 1024, false],
] as const) {
  const result = await runDeaths({
    strategy,
    accounts,
    kills,
    repairs,
    onKill: (done) => {
      if (process.stderr.isTTY) process.stderr.write(`\r${strategy}: ${done} of ${kills} killed `)
    },
  })
  if (process.stderr.isTTY) process.stderr.write('\n')
  const { failedAudits, totalBefore, totalAfter, seconds, ...counts } = result
  console.log(`${strategy}, ${accounts} accounts, ${repairs ? 'repairing' : 'nobody repairs'}:`)
  for (const [name, value] of Object.entries(counts)) console.log(`  ${name.padEnd(10)} ${value}`)
  console.log(`  failed audits ${failedAudits}; total ${totalBefore} before, ${totalAfter} after`)
  console.log(`  ${seconds.toFixed(1)} s`)
  if (repairs && (failedAudits > 0 || totalBefore !== totalAfter)) sound = false
}
process.exitCode = sound ? 0 : 1
