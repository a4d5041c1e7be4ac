/** Checks that imports go only in the directions that ARCHITECTURE.md allows. Prints `path:line: fault`. */
// @ts-check
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../src/', import.meta.url))

/**
 * A folder, and what its files may import besides their own folder: folders (ending in /), files, and `node:`
 * or `npm` for imports from outside. The first row that matches a file applies.
 * @type {[folder: string, mayImport: string[]][]}
 */
const RULES = [
  ['core/', []],
  ['graph/', ['core/']],
  ['manager/lock-manager.ts', ['manager/', 'core/', 'backends/backend.ts', 'backends/local/']],
  ['manager/', ['core/', 'graph/', 'backends/backend.ts']],
  ['backends/threads/', ['core/']],
  ['backends/local/', ['core/', 'backends/backend.ts']],
  ['backends/backend.ts', ['core/']],
  ['explain/', ['core/']],
  ['bank/', ['index.ts', 'backends/threads/index.ts', 'explain/index.ts', 'node:']],
  [
    'cli/',
    ['index.ts', 'bank/index.ts', 'backends/threads/index.ts', 'explain/index.ts', 'node:', 'npm'],
  ],
  ['index.ts', ['core/', 'manager/', 'backends/backend.ts']],
]

const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.ts'))
  .sort()
/** @type {Map<string, string[]>} */
const imports = new Map()
let faults = 0

for (const file of files) {
  const rule = RULES.find(
    ([folder]) => file === folder || (folder.endsWith('/') && file.startsWith(folder)),
  )
  if (!rule) {
    report(file, 1, 'no rule for this folder in scripts/check-imports.mjs')
    continue
  }
  imports.set(file, [])
  const text = readFileSync(join(root, file), 'utf8')
  for (const [index, line] of text.split('\n').entries()) {
    const specifier =
      /(?:\bfrom|^import) '([^']+)'/.exec(line)?.[1] ?? /\bimport\('([^']+)'\)/.exec(line)?.[1]
    if (specifier) checkImport(file, index + 1, specifier, rule)
  }
}
checkCycles()
process.exit(faults === 0 ? 0 : 1)

/**
 * @param {string} file
 * @param {number} line
 * @param {string} specifier
 * @param {[string, string[]]} rule
 */
function checkImport(file, line, specifier, [folder, mayImport]) {
  if (!specifier.startsWith('.')) {
    const kind = specifier.startsWith('node:') ? 'node:' : 'npm'
    if (!mayImport.includes(kind)) report(file, line, `${folder} may not import ${specifier}`)
    return
  }
  const target = posix.join(dirname(file), specifier)
  if (!files.includes(target)) {
    report(file, line, `${specifier} is no file of src/ (write the .ts ending)`)
    return
  }
  imports.get(file)?.push(target)
  const allowed = [folder, ...mayImport].some(
    (path) => target === path || (path.endsWith('/') && target.startsWith(path)),
  )
  if (!allowed) report(file, line, `${folder} may not import ${target}`)
}

function checkCycles() {
  /** @type {Set<string>} */
  const done = new Set()
  /** @param {string} file @param {string[]} path */
  const visit = (file, path) => {
    if (path.includes(file)) {
      report(file, 1, `imports itself: ${[...path.slice(path.indexOf(file)), file].join(' → ')}`)
      return
    }
    if (done.has(file)) return
    for (const target of imports.get(file) ?? []) visit(target, [...path, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
}

/**
 * @param {string} file
 * @param {number} line
 * @param {string} message
 */
function report(file, line, message) {
  faults++
  console.error(`src/${file}:${line}: ${message}`)
}
