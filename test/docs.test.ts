/** The documentation names only what exists. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { it } from 'node:test'

it('docs/web-locks.md names existing tests', () => {
  const read = (file: string): string =>
    readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
  const rows = read('docs/web-locks.md').matchAll(/^\| .* \| .* \| (.*) \|$/gm)
  let count = 0
  for (const [, cell = ''] of rows) {
    if (/^(test|---)?$/.test(cell)) continue
    const [, title = '', file = 'web-locks.test.ts'] = /^(.*?)(?: \((.*)\))?$/.exec(
      cell.replace(/request\(\)|query\(\)/g, (call) => call.replace('()', '\u0001')),
    ) as RegExpExecArray
    const quoted = `it('${title.replaceAll('\u0001', '()')}'`
    assert.ok(read(`test/manager/${file}`).includes(quoted), quoted)
    count++
  }
  assert.ok(count > 20)
})

it('README.md and CONTRIBUTING.md give the duration of npm test that it prints', () => {
  const read = (file: string): string =>
    readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
  const minutes = /^const MINUTES = (\d+)$/m.exec(read('scripts/test-all.mjs'))?.[1]
  for (const file of ['README.md', 'CONTRIBUTING.md']) {
    assert.match(read(file), new RegExp(`about ${minutes} minutes on 2 cores`, 'i'))
  }
})
