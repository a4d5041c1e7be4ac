/**
 * Runs the manager's tests on other runtimes than Node: `npm run runtimes`. Bun and Deno come from npm,
 * the browser is the machine's Chromium, or one from npm too; what cannot be had is said to be left out,
 * and the exit status is 1 where anything failed. At the end a table says what the deadlock detector
 * learns of each form of awaiting, there and on several versions of Node; `--forms` prints only that.
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

const root = fileURLToPath(new URL('../../../', import.meta.url))
const FILES =
  'web-locks many passing bad-input aborts stolen context deadlock order refusals owners'.split(' ')
/** In a browser nobody knows by itself who is asking: the tests that need that are left out. */
const FILES_IN_BROWSERS = ['web-locks', 'many', 'passing', 'bad-input', 'aborts', 'stolen']

let isSound = true
const isFormsOnly = process.argv.includes('--forms')
const columns: Column[] = []

const bun = { name: 'Bun', npm: 'bun@1', command: 'bun test', summary: / (\d+) pass\n +(\d+) fail/ }
const deno = {
  name: 'Deno',
  npm: 'deno@2',
  command: 'deno test -A --no-check',
  summary: /\((\d+) steps\) \| (\d+) failed/,
}
for (const { name, npm, command, summary } of isFormsOnly ? [] : [bun, deno]) {
  const npx = (run: string): ReturnType<typeof spawnSync> =>
    spawnSync('npx', ['--yes', `--package=${npm}`, '-c', run], {
      cwd: root,
      encoding: 'utf8',
      env: neutralEnv({ NO_COLOR: '1' }),
    })
  const version = npx(`${command.split(' ')[0]} --version`)
  if (version.status !== 0) {
    console.log(`${name}: LEFT OUT, npm could not give it: ${String(version.stderr).slice(-300)}`)
    continue
  }
  for (const file of FILES) {
    const run = npx(`${command} ./dist/test/manager/${file}.test.js`)
    const text = `${run.stdout}${run.stderr}`
    const [, passed, failed] = summary.exec(text) ?? []
    tell(`${name} ${versionIn(version.stdout)}`, file, passed, failed)
    if (run.status === 0) continue
    process.stderr.write(text)
    isSound = false
  }
}

/** Adds a column, or says why there is none. Nothing may be proved that V8 does not prove. */
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
  isSound = false
  console.log(`${column.runtime}: proved, and must not be: ${wrong.map(({ name }) => name)}`)
}

function tell(runtime: string, file: string, passed = '?', failed = '?'): void {
  console.log(`${runtime.padEnd(24)} ${file.padEnd(10)} ${passed} passed, ${failed} failed`)
}

function versionIn(text: unknown): string {
  return /[\d.]+/.exec(String(text))?.[0] ?? ''
}

/** Serves the built files, and a page that runs the tests and sends back what came of them. */
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
    isSound = false
    return
  }
  const runtime = `Chromium ${/Chrome\/(\d+)/.exec(results.agent)?.[1] ?? ''}`
  addColumn({ runtime, verdicts: results.verdicts })
  for (const [file, tests] of Object.entries(results.files)) {
    const failed = tests.filter(({ error }) => error !== undefined)
    tell(runtime, file, `${tests.length - failed.length}`, `${failed.length}`)
    for (const { name, error } of failed) process.stderr.write(`${name}\n${error}\n`)
    if (failed.length > 0 || tests.length === 0) isSound = false
  }
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
process.exitCode = isSound ? 0 : 1
