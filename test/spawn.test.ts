/** Processes that tests start: the terminal and the test runner do not change their output. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { neutralEnv, outputOfNode, runNode, runShell } from './spawn.ts'

const sources = fileURLToPath(new URL('../../test/', import.meta.url))
/** These start browsers, or processes that are not part of `npm test`. */
const OTHERS = ['spawn.ts', 'runtimes/run.ts', 'runtimes/chromium.ts']

describe('processes that tests start', () => {
  it('inherit no settings of the terminal, the test runner, Node or lockwise', async () => {
    const set = {
      FORCE_COLOR: '3',
      NO_COLOR: '1',
      CLICOLOR_FORCE: '1',
      COLUMNS: '40',
      TERM: 'xterm-256color',
      NODE_OPTIONS: '--no-deprecation',
      NODE_TEST_CONTEXT: 'child-v8',
      LOCKWISE_EXPLAIN: '1',
    }
    const before = { ...process.env }
    Object.assign(process.env, set)
    try {
      const program = `console.log(Object.keys(${JSON.stringify(set)}).filter((name) => name in process.env))`
      assert.deepEqual(runNode(['-e', program]), { status: 0, stdout: '[]\n', stderr: '' })
      assert.equal((await outputOfNode(['-e', program])).stdout, '[]\n')
      const shell = runShell('"$0" -e "$1"', [process.execPath, program])
      assert.deepEqual([shell.stdout, shell.stderr], ['[]\n', ''])
      assert.equal(neutralEnv({ NO_COLOR: '1' }).NO_COLOR, '1')
      assert.equal(neutralEnv().PATH, before.PATH)
    } finally {
      for (const name of Object.keys(set)) {
        if (before[name] === undefined) delete process.env[name]
        else process.env[name] = before[name]
      }
    }
  })

  it('are all started by spawn.ts', () => {
    const files = readdirSync(sources, { recursive: true, encoding: 'utf8' })
      .map((file) => file.replaceAll('\\', '/'))
      .filter((file) => file.endsWith('.ts') && !OTHERS.includes(file))
      .filter((file) => /from '(node:)?child_process'/.test(readFileSync(sources + file, 'utf8')))
    assert.deepEqual(files, [], 'use runNode and its like of test/spawn.ts')
  })
})
