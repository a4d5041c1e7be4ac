/**
 * Runs the manager's tests on runtimes other than Node: `npm run runtimes`. Bun and Deno come from npm. The
 * browser is the machine's Chromium, or one from npm. A runtime that is not available is reported as left
 * out. The exit status is 1 if anything failed. At the end a table shows what the deadlock detector learns of
 * each form of awaiting, on these runtimes and on several versions of Node. `--forms` prints only that.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ROWS } from '../manager/forms-table.ts'
import { neutralEnv } from '../spawn.ts'
import {
  CHROMIUM_PATHS,
  machinesChromium,
  npmsChromium,
  openPage,
  type Served,
} from './chromium.ts'
import { type Column, columnOf, NODES, tableOf } from './forms.ts'
import { SKIPPED, Tally } from './tally.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
/** A browser does not know the requester of a request by itself, so tests that need it are left out. */
const FILES_IN_BROWSERS = [
  'web-locks',
  'many',
  'queue-rearrangement',
  'bad-input',
  'aborts',
  'stolen',
]
const FILES = [
  ...[...FILES_IN_BROWSERS, 'context', 'deadlock', 'order', 'refusals', 'owners', 'proof'],
  ...['unproved', 'certainty', 'long-waits', 'warnings', 'inspect', 'leaks'],
]

let isConsistent = true
const isFormsOnly = process.argv.includes('--forms')
const columns: Column[] = []

/** A runtime from npm, and what its test runner prints of a file. */
interface Runner {
  readonly name: string
  readonly npm: string
  readonly command: string
  /** Matches the last line or lines, with the groups `passed`, `failed` and `skipped`. */
  readonly summary: RegExp
  /** Flags for single files. */
  readonly flags: Readonly<Record<string, string>>
  /** The files that it does not run, with the reason. */
  readonly leftOut: Readonly<Record<string, string>>
}

const bun: Runner = {
  name: 'Bun',
  npm: 'bun@1',
  command: 'bun test',
  summary: / (?<passed>\d+) pass\n(?: +(?<skipped>\d+) skip\n)? +(?<failed>\d+) fail/,
  flags: {},
  leftOut: {
    certainty: 'needs async stack traces; unproved has the rules that hold without them',
    leaks: 'collects garbage by a flag of V8',
  },
}
const deno: Runner = {
  name: 'Deno',
  npm: 'deno@2',
  command: 'deno test -A --no-check',
  // Steps are the tests in a `describe`. All other counts are of tests outside of any.
  summary:
    /(?<passed>\d+) passed(?: \((?<passedIn>\d+) steps?\))? \| (?<failed>\d+) failed(?: \((?<failedIn>\d+) steps?\))?(?: \| (?<skipped>\d+) ignored(?: \((?<skippedIn>\d+) steps?\))?)?/,
  // Deno changes this flag of V8 only at its start.
  flags: { unproved: '--v8-flags=--no-async-stack-traces' },
  leftOut: {},
}
for (const runner of isFormsOnly ? [] : [bun, deno]) runFiles(runner)

/** Runs the files on a runtime. Prints the counts of each file, the totals, and the reasons of skips. */
function runFiles({ name, npm, command, summary, flags, leftOut }: Runner): void {
  const npx = (run: string): ReturnType<typeof spawnSync> =>
    spawnSync('npx', ['--yes', `--package=${npm}`, '-c', run], {
      cwd: root,
      encoding: 'utf8',
      env: neutralEnv({ NO_COLOR: '1' }),
    })
  const version = npx(`${command.split(' ')[0]} --version`)
  if (version.status !== 0) {
    console.log(`${name}: LEFT OUT, npm could not give it: ${String(version.stderr).slice(-300)}`)
    return
  }
  const tally = new Tally(`${name} ${versionIn(version.stdout)}`)
  for (const file of FILES) {
    if (leftOut[file] !== undefined) {
      tally.leaveOut(file, leftOut[file])
      continue
    }
    const run = npx(`${command} ${flags[file] ?? ''} ./dist/test/manager/${file}.test.js`)
    const text = `${run.stdout}${run.stderr}`
    const counts = summary.exec(text)?.groups ?? {}
    const count = (key: string): number => Number(counts[`${key}In`] ?? counts[key] ?? 0)
    const passed = count('passed')
    // A file in which no test ran has failed, whatever the exit status.
    const isSoundFile = run.status === 0 && passed > 0
    const failed = Math.max(count('failed'), isSoundFile ? 0 : 1)
    tally.add(file, { passed, failed, skipped: count('skipped') })
    for (const [, reason] of text.matchAll(SKIPPED)) tally.reasons.add(reason as string)
    if (!isSoundFile) process.stderr.write(text)
  }
  tally.end()
  if (tally.hasFailed) isConsistent = false
}

/** Adds a column, or prints why there is none. A column may prove nothing that V8 does not prove. */
function addColumn(column: Column | string): void {
  if (typeof column === 'string') {
    console.log(column)
    return
  }
  columns.push(column)
  const wrong = ROWS.filter(
    ({ name, onV8 }) => column.verdicts[name] === 'proved' && onV8 !== 'proved',
  )
  if (wrong.length === 0) return
  isConsistent = false
  console.log(`${column.runtime}: proved, and must not be: ${wrong.map(({ name }) => name)}`)
}

function versionIn(text: unknown): string {
  return /[\d.]+/.exec(String(text))?.[0] ?? ''
}

/** Serves the built files, and a page that runs the tests and sends back their results. */
async function inChromium(): Promise<void> {
  const chromium = machinesChromium() ?? npmsChromium()
  if (chromium === undefined) {
    console.log(
      `Chromium: LEFT OUT, it is none of ${CHROMIUM_PATHS.join(', ')}, and npm could not give it`,
    )
    return
  }
  let results: PageResults
  try {
    results = resultsIn(await openPage(chromium, serve))
  } catch (error) {
    console.log(`Chromium: ${(error as Error).message}`)
    isConsistent = false
    return
  }
  const runtime = `Chromium ${/Chrome\/(\d+)/.exec(results.agent)?.[1] ?? ''}`
  addColumn({ runtime, verdicts: results.verdicts })
  const tally = new Tally(runtime)
  for (const [file, tests] of Object.entries(results.files)) {
    const wrong = tests.filter(({ error }) => error !== undefined)
    const failed = tests.length === 0 ? 1 : wrong.length
    tally.add(file, { passed: tests.length - wrong.length, failed, skipped: 0 })
    for (const { name, error } of wrong) process.stderr.write(`${name}\n${error}\n`)
  }
  if (!isFormsOnly) tally.end()
  if (tally.hasFailed) isConsistent = false
}

function serve(path: string): Served | undefined {
  if (path === '/') return { type: 'text/html', body: PAGE }
  const file = join(root, normalize(path))
  if (!path.startsWith('/dist/') || extname(path) !== '.js' || !existsSync(file)) return undefined
  return { type: 'text/javascript', body: readFileSync(file) }
}

interface PageResults {
  readonly agent: string
  readonly files: Record<string, { name: string; error?: string }[]>
  readonly verdicts: Column['verdicts']
}

function resultsIn(body: string): PageResults {
  try {
    return JSON.parse(body)
  } catch {
    throw new Error(`an answer that is none: ${body.slice(0, 300)}`)
  }
}

const SHIMS = '/dist/test/runtimes/shims.js'
const IMPORTS = Object.fromEntries(
  ['node:test', 'node:assert/strict', 'node:timers/promises'].map((id) => [id, SHIMS]),
)
const PAGE = `<!doctype html><title>lockwise</title>
<script type="importmap">${JSON.stringify({ imports: IMPORTS })}</script>
<script type="module">
  import { runAll } from '${SHIMS}'
  import { verdictsOfAll } from '/dist/test/manager/forms-table.js'
  const files = {}
  for (const file of ${JSON.stringify(isFormsOnly ? [] : FILES_IN_BROWSERS)}) {
    try {
      await import('/dist/test/manager/' + file + '.test.js')
      files[file] = await runAll()
    } catch (error) {
      files[file] = [{ name: 'it loads', error: String(error) }]
    }
  }
  const verdicts = await verdictsOfAll()
  const body = JSON.stringify({ agent: navigator.userAgent, files, verdicts })
  await fetch('/results', { method: 'POST', body })
</script>`

for (const version of NODES) addColumn(columnOf('Node', `node@${version}`, 'node', root))
addColumn(columnOf('Bun', bun.npm, 'bun', root))
addColumn(columnOf('Deno', deno.npm, 'deno run -A --no-check', root))
await inChromium()
console.log(`\nWhat the detector learns of a wait, by the form of awaiting:\n\n${tableOf(columns)}`)
process.exitCode = isConsistent ? 0 : 1
