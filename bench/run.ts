/**
 * Runs every question of the benchmarks and writes the answers to bench/RESULTS.md.
 *
 * `--small` runs a little of everything and writes nothing; `--rounds N` sets how often each program runs in
 * each cell; `--only NAME` runs one question and prints its answer.
 */

import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { audits } from './audits.ts'
import { FULL, type Size, SMALL } from './cells.ts'
import { deadlocks } from './deadlocks.ts'
import { fairness } from './fairness.ts'
import { growth } from './growth.ts'
import { languages } from './languages.ts'
import { lecture } from './lecture.ts'
import type { Native } from './programs.ts'
import type { Setting } from './question.ts'
import { repairs } from './repairs.ts'
import { requests } from './requests.ts'

const QUESTIONS = { languages, lecture, deadlocks, audits, fairness, repairs, requests, growth }
const { values } = parseArgs({
  options: {
    small: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string' },
  },
})
if (values.only !== undefined && !(values.only in QUESTIONS)) {
  throw new Error(`--only must be one of ${Object.keys(QUESTIONS).join(', ')}`)
}
const base: Size = values.small ? SMALL : FULL
const size: Size = values.rounds === undefined ? base : { ...base, rounds: Number(values.rounds) }

const builder = new URL('../../bench/native/build.mjs', import.meta.url).href
const { buildNative } = (await import(builder)) as { buildNative: () => Promise<Native> }
const built = await buildNative()

const blocks = [header()]
for (const [name, question] of Object.entries(QUESTIONS)) {
  if (values.only !== undefined && values.only !== name) continue
  blocks.push(await question(settingOf(name)))
}
const text = `${blocks.join('\n\n')}\n`
process.stdout.write(text)
if (!values.small && values.only === undefined) {
  writeFileSync(new URL('../../bench/RESULTS.md', import.meta.url), text)
}

function settingOf(name: string): Setting {
  let runs = 0
  return {
    size,
    native: (...ids) => ids.flatMap((id) => built.programs.filter((found) => found.id === id)),
    tick: () => {
      if (process.stderr.isTTY) process.stderr.write(`\r${name}: ${++runs} runs`)
    },
  }
}

function header(): string {
  const [processor] = cpus()
  const versions = new Set([
    `Node.js ${process.version}`,
    ...built.programs.map(({ version }) => version),
  ])
  const missing = built.leftOut.map(({ id, reason }) => `\nLeft out: ${id} (${reason}).`)
  return [
    '# Results',
    `Made by \`npm run bench\` on ${processor?.model ?? 'an unknown processor'}, ${cpus().length} cores, ` +
      `${process.platform} ${process.arch}; ${[...versions].join('; ')}. ${size.rounds} rounds, the ` +
      `programs in turn within each.${missing.join('')}`,
  ].join('\n\n')
}
