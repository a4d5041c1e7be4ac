/** Finds a Chromium, opens a page in it and receives the page's results. */

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const CHROMIUM_OF_NPM = '@sparticuz/chromium@147'
/** Paths at which the machine may have a Chromium. */
export const CHROMIUM_PATHS: readonly string[] = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
]
const TIMEOUT_MS = 120_000

/** A browser, and the flags and environment to start it with. */
export interface Chromium {
  readonly file: string
  readonly flags: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

/** The response to a request of a page. */
export interface Served {
  readonly type: 'text/html' | 'text/javascript'
  readonly body: string | Uint8Array
}

/** The machine's own browser, if there is one. */
export function machinesChromium(): Chromium | undefined {
  const file = CHROMIUM_PATHS.find((path) => existsSync(path))
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage']
  return file === undefined ? undefined : { file, flags, env: process.env }
}

/**
 * A browser from npm that includes its libraries, for Linux on x64. It is unpacked into a folder that is
 * removed at exit.
 */
export function npmsChromium(): Chromium | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'lockwise-chromium-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const options = { cwd: folder, encoding: 'utf8' as const }
  writeFileSync(join(folder, 'package.json'), '{}')
  const install = ['install', '--no-audit', '--no-fund', CHROMIUM_OF_NPM]
  if (spawnSync('npm', install, options).status !== 0) return undefined
  // It unpacks its libraries only on machines that it was made for, as this variable says.
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

/**
 * Opens a page at `/`, isolated so that it has shared memory, and resolves with what it posts to `/results`.
 *
 * @throws Error if the browser cannot be started, ends, or sends nothing within two minutes.
 */
export function openPage(
  { file, flags, env }: Chromium,
  serve: (path: string) => Served | undefined,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const server = createServer((request, response) => {
      const path = new URL(request.url ?? '/', 'http://localhost').pathname
      if (path === '/results') {
        let body = ''
        request.on('data', (part) => {
          body += part
        })
        request.on('end', () => {
          response.end()
          end(() => resolve(body))
        })
        return
      }
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin')
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp')
      const served = serve(path)
      if (!served) response.writeHead(404).end()
      else response.setHeader('Content-Type', served.type).end(served.body)
    })
    let end = (settle: () => void): void => settle()
    const fail = (why: string): void => end(() => reject(new Error(why)))
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      const browser = spawn(file, [...flags, `http://127.0.0.1:${port}/`], { stdio: 'ignore', env })
      browser.once('error', (error) => fail(`cannot be started: ${error.message}`))
      browser.once('exit', () => fail('ended without an answer'))
      const timer = setTimeout(() => fail('no answer after two minutes'), TIMEOUT_MS)
      end = (settle) => {
        end = () => {}
        clearTimeout(timer)
        browser.kill()
        server.close()
        server.closeAllConnections()
        settle()
      }
    })
  })
}
