/** A Chromium: where it is, and how a page in it is opened and heard. */

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const CHROMIUM_OF_NPM = '@sparticuz/chromium@147'
/** Where a Chromium of the machine is looked for. */
export const CHROMIUM_PATHS: readonly string[] = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
]
const TIMEOUT_MS = 120_000

/** A browser, and how it is started. */
export interface Chromium {
  readonly file: string
  readonly flags: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

/** A request of a page to its server. */
export interface Served {
  readonly type: 'text/html' | 'text/javascript'
  readonly body: string | Uint8Array
}

/** The machine's own, if there is one. */
export function machinesChromium(): Chromium | undefined {
  const file = CHROMIUM_PATHS.find((path) => existsSync(path))
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage']
  return file === undefined ? undefined : { file, flags, env: process.env }
}

/** One that brings its libraries along, for Linux on x64; unpacked into a folder that goes with us. */
export function npmsChromium(): Chromium | undefined {
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

/**
 * Opens a page at `/`, isolated so that it has shared memory, and resolves with what it posts to
 * `/results`.
 *
 * @throws Error if the browser cannot be started, ends, or says nothing in two minutes.
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
