/** The TypeScript examples of the README and the docs: compiled against the built types, then run. */

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runNode } from './spawn.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** The output of each example. */
const outputs = {
  'README.md': ['report\n', 'true\na teller\n'],
  'docs/async.md': [
    "[ 'report: nightly report' ]\n",
    "'db' could not be granted within 50 ms: 'db' is held by migration\n",
    'LockOrderError\n',
    'afterwards\n',
    'transferred\n',
    'account:3 and account:7\n',
  ],
  'docs/web-locks.md': ['LOCK_LOST\nfalse\n'],
}

for (const [file, expected] of Object.entries(outputs)) {
  describe(file, { timeout: 120_000 }, () => {
    const examples = [...read(file).matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = '']) => code)

    it('has one expected output for each example', () => {
      assert.equal(examples.length, expected.length)
    })

    for (const [i, output] of expected.entries()) {
      it(`has an example ${i + 1} that compiles and runs`, () => {
        assert.equal(outputOf(examples[i] ?? ''), output)
      })
    }

    it('names only npm scripts that exist', () => {
      const { scripts } = JSON.parse(read('package.json'))
      for (const [, name = ''] of read(file).matchAll(/npm run ([\w:]+)/g)) {
        assert.ok(name in scripts, name)
      }
    })
  })
}

function outputOf(example: string): string {
  const folder = mkdtempSync(join(root, 'node_modules', '.example-'))
  try {
    mkdirSync(join(folder, 'node_modules'))
    symlinkSync(root, join(folder, 'node_modules/lockwise'), 'dir')
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    writeFileSync(join(folder, 'example.ts'), `${example}\nexport {}\n`)
    const options = '--ignoreConfig --module nodenext --target es2022 --strict --types node'
    const compiler = join(root, 'node_modules/typescript/lib/tsc.js')
    const compile = [compiler, ...options.split(' '), join(folder, 'example.ts')]
    const compiled = runNode(compile)
    assert.equal(compiled.status, 0, compiled.stdout)
    const { status, stdout, stderr } = runNode([join(folder, 'example.js')])
    assert.equal(status, 0, stderr)
    return stdout
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8')
}
