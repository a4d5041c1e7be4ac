/** Two installed copies of the package in one thread. */

import assert from 'node:assert/strict'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runNode } from '../spawn.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))

/** Two packages, each with its own copy of the built package. */
const folder = mkdtempSync(join(root, 'node_modules', '.copies-'))
for (const user of ['one', 'two']) {
  const copy = join(folder, user, 'node_modules/lockwise')
  mkdirSync(join(copy, 'dist'), { recursive: true })
  cpSync(join(root, 'package.json'), join(copy, 'package.json'))
  cpSync(join(root, 'dist/src'), join(copy, 'dist/src'), { recursive: true })
  writeFileSync(join(folder, user, 'index.mjs'), "export * from 'lockwise'\n")
}

/** Runs a program in its own process, and returns its output. */
function run(program: string, ...args: string[]): { readonly out: string; readonly err: string } {
  const file = join(folder, 'program.mjs')
  writeFileSync(file, program)
  const { stdout, stderr } = runNode([...args, file])
  return { out: stdout.trim(), err: stderr.trim() }
}

const KEY = "Symbol.for('lockwise.locks@0')"
const IMPORTS = `
const one = await import('./one/index.mjs')
const two = await import('./two/index.mjs')
`

describe('two copies of the package', { timeout: 60_000 }, () => {
  after(() => rmSync(folder, { recursive: true, force: true }))

  it('share `locks`, and recognize each other’s errors', () => {
    const { out, err } = run(`${IMPORTS}
      const guard = one.locks.tryAcquire('a')
      const error = await two.locks.request('a', { timeoutMs: 0 }, () => {}).catch((e) => e)
      console.log(JSON.stringify([
        one.LockManager !== two.LockManager,
        one.locks === two.locks,
        guard.held,
        [one, two].map((copy) => copy.isLockwiseError(error)),
        [one, two].map((copy) => error instanceof copy.LockTimeoutError),
        [one, two].map((copy) => new copy.LockManager() === copy.locks),
        Object.getOwnPropertyDescriptor(globalThis, ${KEY}).enumerable,
      ]))`)
    assert.equal(err, '')
    assert.deepEqual(JSON.parse(out), [
      true,
      true,
      true,
      [true, true],
      [true, false],
      [false, false],
      false,
    ])
  })

  it('have a `locks` each, and warn once, if the global entry is unusable', () => {
    for (const found of ['7', '{ request() {} }', 'Object.create(null)', 'null']) {
      const { out, err } = run(`globalThis[${KEY}] = ${found}
        ${IMPORTS}
        console.log(one.locks !== two.locks, one.locks instanceof one.LockManager)`)
      assert.equal(out, 'true true')
      // Once for each copy.
      assert.equal(
        err.match(/LockwiseWarning: .*lockwise\.locks@0.*has its own locks/g)?.length,
        2,
        err,
      )
    }
    const { out, err } = run(`Object.defineProperty(globalThis, ${KEY}, {
        get() { throw new Error('no') },
      })
      ${IMPORTS}
      console.log(one.locks !== two.locks)`)
    assert.equal(out, 'true')
    assert.match(err, /LockwiseWarning/)
  })

  it('have a `locks` each if no global entry can be made', () => {
    const { out, err } = run(`Object.preventExtensions(globalThis)
      ${IMPORTS}
      console.log(one.locks !== two.locks, await two.locks.request('a', () => 'held'))`)
    assert.equal(out, 'true held')
    assert.equal(err, '')
  })

  it('share it under the major version of the package', () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      version: string
    }
    const [major] = version.split('.')
    const { out } = run(`const one = await import('./one/index.mjs')
      console.log(globalThis[Symbol.for('lockwise.locks@${major}')] === one.locks)`)
    assert.equal(out, 'true')
  })
})
