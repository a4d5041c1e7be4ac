/**
 * Runs the manager's tests on other runtimes than Node: `npm run runtimes`. Bun and Deno come from npm,
 * the browser is the machine's Chromium, or one from npm too; what cannot be had is said to be left out,
 * and the exit status is 1 where anything failed.
 */

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const FILES = [
  'web-locks',
  'many',
  'passing',
  'bad-input',
  'context',
  'deadlock',
  'order',
  'refusals',
]
/** In a browser nobody knows by itself who is asking: the tests that need that are left out. */
const FILES_IN_BROWSERS = ['web-locks', 'many', 'passing', 'bad-input']
const CHROMIUM_OF_NPM = '@sparticuz/chromium@147'
const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

let isSound = true

const bun = { name: 'Bun', npm: 'bun@1', command: 'bun test', summary: / (\d+) pass\n +(\d+) fail/ }
const deno = {
  name: 'Deno',
  npm: 'deno@2',
  command: 'deno test -A --no-check',
  summary: /\((\d+) steps\) \| (\d+) failed/,
}
for (const { name, npm, command, summary } of [bun, deno]) {
  const npx = (run: string): ReturnType<typeof spawnSync> =>
    spawnSync('npx', ['--yes', `--package=${npm}`, '-c', run], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, NO_COLOR: '1' },
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
      `Chromium: LEFT OUT, it is none of ${CHROMIUM.join(', ')}, and npm could not give it`,
    )
    return
  }
  const results = await new Promise<PageResults | string>((resolve) => {
    let finish = resolve
    const server = createServer((request, response) => {
      const path = normalize(new URL(request.url ?? '/', 'http://localhost').pathname)
      if (path === '/results') {
        let body = ''
        request.on('data', (part) => {
          body += part
        })
        request.on('end', () => {
          response.end()
          finish(resultsIn(body))
        })
        return
      }
      const file = join(root, path)
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin')
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp')
      if (path === '/') response.setHeader('Content-Type', 'text/html').end(PAGE)
      else if (!path.startsWith('/dist/') || extname(path) !== '.js' || !existsSync(file)) {
        response.writeHead(404).end()
      } else response.setHeader('Content-Type', 'text/javascript').end(readFileSync(file))
    })
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      const { file, flags, env } = chromium
      const browser = spawn(file, [...flags, `http://127.0.0.1:${port}/`], { stdio: 'ignore', env })
      browser.once('error', (error) => finish(`cannot be started: ${error.message}`))
      browser.once('exit', () => finish('ended without an answer'))
      const timer = setTimeout(() => finish('no answer after two minutes'), 120_000)
      finish = (results) => {
        finish = () => {}
        clearTimeout(timer)
        browser.kill()
        server.close()
        server.closeAllConnections()
        resolve(results)
      }
    })
  })
  if (typeof results === 'string') {
    console.log(`Chromium: ${results}`)
    isSound = false
    return
  }
  const runtime = `Chromium ${/Chrome\/(\d+)/.exec(results.agent)?.[1] ?? ''}`
  for (const [file, tests] of Object.entries(results.files)) {
    const failed = tests.filter(({ error }) => error !== undefined)
    tell(runtime, file, `${tests.length - failed.length}`, `${failed.length}`)
    for (const { name, error } of failed) process.stderr.write(`${name}\n${error}\n`)
    if (failed.length > 0 || tests.length === 0) isSound = false
  }
}

/** A browser, and how it is started. */
interface Chromium {
  readonly file: string
  readonly flags: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

function machinesChromium(): Chromium | undefined {
  const file = CHROMIUM.find((path) => existsSync(path))
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage']
  return file === undefined ? undefined : { file, flags, env: process.env }
}

/** One that brings its libraries along, for Linux on x64; unpacked into a folder that goes with us. */
function npmsChromium(): Chromium | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'lockwise-chromium-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const options = { cwd: folder, encoding: 'utf8' as const }
  writeFileSync(join(folder, 'package.json'), '{}')
  const install = ['install', '--no-audit', '--no-fund', CHROMIUM_OF_NPM]
  if (spawnSync('npm', install, options).status !== 0) return undefined
  // It brings its libraries only where it takes the machine for one of those that it was made for.
  const env = { ...process.env, TMPDIR: folder, AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs22.x' }
  const unpack = `
    import chromium from '@sparticuz/chromium'
    const file = await chromium.executablePath()
    console.log(JSON.stringify([file, chromium.args, process.env.LD_LIBRARY_PATH]))`
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', unpack], {
    ...options,
    env,
  })
  if (run.status !== 0) return undefined
  const [file, flags, libraries] = JSON.parse(run.stdout)
  return { file, flags, env: { ...process.env, LD_LIBRARY_PATH: libraries } }
}

interface PageResults {
  readonly agent: string
  readonly files: Record<string, { name: string; error?: string }[]>
}

function resultsIn(body: string): PageResults | string {
  try {
    return JSON.parse(body)
  } catch {
    return `an answer that is none: ${body.slice(0, 300)}`
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
  const files = {}
  for (const file of ${JSON.stringify(FILES_IN_BROWSERS)}) {
    try {
      await import('/dist/test/manager/' + file + '.test.js')
      files[file] = await runAll()
    } catch (error) {
      files[file] = [{ name: 'it loads', error: String(error) }]
    }
  }
  const body = JSON.stringify({ agent: navigator.userAgent, files })
  await fetch('/results', { method: 'POST', body })
</script>`

await inChromium()
process.exitCode = isSound ? 0 : 1
