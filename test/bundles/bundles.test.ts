/**
 * Every entry of the package in a bundle: as ES modules and CommonJS for Node, as a module and as a script
 * for browsers. Each is built and run: in the machine's Chromium if there is one, otherwise in a context
 * without Node's globals.
 */

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { machinesChromium, openPage } from '../runtimes/chromium.ts'
import { runNode } from '../spawn.ts'
import { programs } from './programs.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const likeABrowser = fileURLToPath(new URL('./like-a-browser.js', import.meta.url))
const chromium = machinesChromium()

const folder = mkdtempSync(join(tmpdir(), 'lockwise-bundles-'))
mkdirSync(join(folder, 'node_modules'))
symlinkSync(root, join(folder, 'node_modules/lockwise'), 'dir')
after(() => rmSync(folder, { recursive: true, force: true }))

interface Kind {
  readonly platform: 'node' | 'browser'
  readonly format: 'esm' | 'cjs' | 'iife'
  readonly minify: boolean
}

const kinds: readonly Kind[] = [
  { platform: 'node', format: 'esm', minify: false },
  { platform: 'node', format: 'cjs', minify: false },
  { platform: 'node', format: 'cjs', minify: true },
  { platform: 'browser', format: 'esm', minify: false },
  { platform: 'browser', format: 'iife', minify: false },
  { platform: 'browser', format: 'iife', minify: true },
]

describe('bundles', { timeout: 300_000 }, () => {
  for (const [entry, program] of Object.entries(programs)) {
    for (const kind of kinds) {
      const { platform, format, minify } = kind
      const title = `of ${entry} for ${platform}, ${format}${minify ? ', minified,' : ''} run`
      it(title, async (t) => {
        const { file, code, imports } = await bundle(entry, program, kind)
        assert.deepEqual(imports, [])
        if (platform === 'node') assert.equal(outputOf([file]), 'ok\n')
        else if (chromium) assert.equal(await inChromium(code, format), 'ok')
        else {
          t.diagnostic('run in a context without Node: there is no Chromium on this machine')
          const flags = ['--experimental-vm-modules', '--no-warnings']
          assert.equal(outputOf([...flags, likeABrowser, file, format]), 'ok\n')
        }
      })
    }
  }
})

/** The output of a program under this Node. The bundle lies in a folder without the package. */
function outputOf(args: readonly string[]): string {
  const { stdout, stderr } = runNode(args)
  assert.equal(stderr, '')
  return stdout
}

async function bundle(
  entry: string,
  program: string,
  { platform, format, minify }: Kind,
): Promise<{ readonly file: string; readonly code: string; readonly imports: readonly string[] }> {
  const outfile = join(
    mkdtempSync(join(folder, 'out-')),
    `program.${format === 'esm' ? 'mjs' : 'cjs'}`,
  )
  const { warnings, outputFiles, metafile } = await build({
    stdin: { contents: program, resolveDir: folder, sourcefile: `${entry}.js` },
    bundle: true,
    platform,
    format,
    minify,
    outfile,
    write: false,
    metafile: true,
    // As in a program in which the package is installed.
    preserveSymlinks: true,
    logLevel: 'silent',
  })
  assert.deepEqual(warnings, [])
  const code = outputFiles[0]?.text ?? ''
  writeFileSync(outfile, code)
  const outputs = Object.values(metafile.outputs)
  return {
    file: outfile,
    code,
    imports: outputs.flatMap(({ imports }) => imports.map((each) => each.path)),
  }
}

function inChromium(code: string, format: Kind['format']): Promise<string> {
  assert.ok(chromium)
  const type = format === 'esm' ? 'module' : 'text/javascript'
  const page = `<!doctype html><title>lockwise</title>
    <script>console.log = (body) => fetch('/results', { method: 'POST', body })</script>
    <script type="${type}" src="/program.js"></script>`
  return openPage(chromium, (path) => {
    if (path === '/') return { type: 'text/html', body: page }
    return path === '/program.js' ? { type: 'text/javascript', body: code } : undefined
  })
}
