/**
 * The declarations as users compile them: the type tests against the package, with the oldest and the newest
 * supported TypeScript, and no checks skipped.
 */

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runNode } from './spawn.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

const compilers = {
  'TypeScript 5.4, the oldest': 'typescript-oldest/lib/tsc.js',
  'the newest TypeScript': 'typescript/lib/tsc.js',
}

const forNode = { lib: ['es2022'], types: ['node'] }

/** A browser's program, which has no types of Node. */
const forBrowsers = `
import { defineOrder, locks, shared } from 'lockwise'
import { deadlockText } from 'lockwise/explain'
import { SharedLocks } from 'lockwise/threads'
const guard = await locks.acquire(['a', shared('b')])
guard.release()
guard[Symbol.dispose]()
locks.on('deadlock', (report) => console.log(deadlockText(report)))
await defineOrder('customer', 'account').request('account:7', () => {})
SharedLocks.create({ count: 4 }).close()
`

/** Requests that violate the order, and the compiler's explanation of each. */
const refused: readonly [request: string, why: string][] = [
  ["'account:2'", "'account' is held: take all of one class in one request"],
  [
    "'customer:1'",
    "'customer' is not above the held classes in the order: take both in one request, or take 'customer' first",
  ],
  ["'nobody:1'", "'nobody' is not a class of the declared order"],
  ['text', 'the type of this name does not show its class: write it as `class:…`'],
]

describe('the declarations', { timeout: 300_000 }, () => {
  for (const [what, file] of Object.entries(compilers)) {
    it(`pass the type tests with ${what}`, () => {
      const source = readFileSync(join(root, 'test/types.test.ts'), 'utf8')
        .replace("'../src/index.ts'", "'lockwise'")
        .replace("'../src/backends/threads/index.ts'", "'lockwise/threads'")
        .replace("'../src/bank/index.ts'", "'lockwise/bank'")
      assert.equal(compile(file, source, forNode), '')
    })

    it(`suit a browser program with ${what}`, () => {
      assert.equal(compile(file, forBrowsers, { lib: ['es2022', 'dom'], types: [] }), '')
    })

    it(`say why a request violates the order with ${what}`, () => {
      const program = [
        "import { defineOrder } from 'lockwise'",
        'declare const text: string',
        "const bank = defineOrder('customer', 'account', 'audit')",
        "await bank.request('account:1', async (_lock, inside) => {",
        ...refused.map(([request]) => `  await inside.request(${request}, () => {})`),
        '})',
      ].join('\n')
      const said = compile(file, program, forNode)
      assert.equal(said.match(/error TS/g)?.length, refused.length, said)
      for (const [, why] of refused) assert.ok(said.includes(why), `${why}, not ${said}`)
    })

    it(`reject wrong types with ${what}`, () => {
      const wrong = "import { locks } from 'lockwise'\nawait locks.request(7n, () => {})\n"
      assert.match(compile(file, wrong, forNode), /TS2769|TS2345/)
    })
  }
})

/** The compiler's output for a program that uses the package. */
function compile(compiler: string, source: string, options: object): string {
  const folder = mkdtempSync(join(root, 'node_modules', '.consumer-'))
  try {
    mkdirSync(join(folder, 'node_modules'))
    symlinkSync(root, join(folder, 'node_modules/lockwise'), 'dir')
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          noEmit: true,
          strict: true,
          module: 'nodenext',
          target: 'es2022',
          ...options,
        },
        files: ['program.ts'],
      }),
    )
    writeFileSync(join(folder, 'program.ts'), source)
    const args = [join(root, 'node_modules', compiler), '--project', folder]
    const { stdout, stderr } = runNode(args, { cwd: folder })
    return stdout + stderr
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
