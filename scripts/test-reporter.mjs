/** Node's test reporter, with a line before each file: its number, and the number of all files. */
// @ts-check
import { relative } from 'node:path'
import { Transform } from 'node:stream'
import { spec } from 'node:test/reporters'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../dist/test/', import.meta.url))
const count = process.env.LOCKWISE_TEST_FILES
let number = 0

/** @type {import('node:stream').Transform} */
const tests = new spec()
const files = new Transform({
  writableObjectMode: true,
  transform(event, _encoding, done) {
    const { type, data } = event
    // The runner reports a file as a test whose name is its path.
    if (type === 'test:dequeue' && data.nesting === 0 && data.name.startsWith(root)) {
      number++
      this.push(`\nfile ${number} of ${count}: ${relative(root, data.name)}\n`)
    }
    tests.write(event, () => done())
  },
  flush(done) {
    tests.end()
    tests.once('end', () => done())
  },
})
tests.on('data', (text) => files.push(text))

// biome-ignore lint/style/noDefaultExport: so Node loads a reporter
export default files
