/** The README's examples in TypeScript: compiled against the built types, then run. */

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))

describe('the README', { timeout: 120_000 }, () => {
  const examples = [...readme().matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1] ?? '')
  const outputs = ['report\n', 'true\na teller\n']

  it('has as many examples as are run here', () => {
    assert.equal(examples.length, outputs.length)
  })

  for (const [i, expected] of outputs.entries())
    it(`has an example ${i + 1} that compiles and runs`, () => {
      const folder = mkdtempSync(join(root, 'node_modules', '.readme-'))
      try {
        mkdirSync(join(folder, 'node_modules'))
        symlinkSync(root, join(folder, 'node_modules/lockwise'), 'dir')
        writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
        writeFileSync(join(folder, 'example.ts'), `${examples[i]}\nexport {}\n`)
        const options = [
          '--ignoreConfig',
          '--module',
          'nodenext',
          '--target',
          'es2022',
          '--strict',
          '--types',
          'node',
        ]
        const compiler = join(root, 'node_modules/typescript/lib/tsc.js')
        const compile = [compiler, ...options, join(folder, 'example.ts')]
        const { status, stdout } = spawnSync(process.execPath, compile, { encoding: 'utf8' })
        assert.equal(status, 0, stdout)
        const output = execFileSync(process.execPath, [join(folder, 'example.js')], {
          encoding: 'utf8',
        })
        assert.equal(output, expected)
      } finally {
        rmSync(folder, { recursive: true })
      }
    })

  it('names only npm scripts that exist', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    const named = [...readme().matchAll(/npm run ([\w:]+)/g)].map((match) => match[1] ?? '')
    assert.ok(named.length > 0)
    for (const name of named) assert.ok(name in scripts, name)
  })
})

function readme(): string {
  return readFileSync(join(root, 'README.md'), 'utf8')
}
