/** `npm test`: builds, checks, tests; before each step prints its purpose and its usual duration. */
// @ts-check
import { spawnSync } from 'node:child_process'

/** The usual duration on 2 cores. */
const MINUTES = 12
/** @type {readonly (readonly [script: string, what: string, time: string])[]} */
const STEPS = [
  ['build', 'assembles the kernel, compiles src, test and bench', '10 s'],
  ['check', 'style, import rule, kernel, unused code, the package', '30 s'],
  ['test:only', 'all tests, one file after the other', `${MINUTES - 1} minutes`],
]

const began = performance.now()
console.log(`npm test: ${STEPS.length} steps, about ${MINUTES} minutes on 2 cores`)
for (const [index, [script, what, time]] of STEPS.entries()) {
  const step = `step ${index + 1} of ${STEPS.length}, ${script}`
  console.log(`\n${step}: ${what} (about ${time})`)
  const stepBegan = performance.now()
  const { status, signal } = spawnSync('npm', ['run', '--silent', script], {
    stdio: 'inherit',
    shell: process.platform === 'win32',
  })
  const seconds = Math.round((performance.now() - stepBegan) / 1000)
  if (status !== 0) {
    console.log(`${step}: failed after ${seconds} s`)
    process.exit(signal === 'SIGINT' ? 130 : (status ?? 1))
  }
  console.log(`${step}: done in ${seconds} s`)
}
console.log(`\nnpm test: passed in ${((performance.now() - began) / 60_000).toFixed(1)} minutes`)
