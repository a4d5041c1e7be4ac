/**
 * Finds the origins of messages in the source, and which of them have run, by V8's coverage.
 *
 * An origin is a call that makes an error or writes a warning, or a `return` of the functions that format reports
 * (`src/core/text`). The same pattern is applied to a source file and to the compiled file, where the n-th match
 * is the same origin: the compiler removes types only.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** An origin of a message in the source. */
export interface Origin {
  /** The file, from the root of the repository, and the line: `src/manager/guard.ts:102`. */
  readonly at: string
  /** The line of the source. */
  readonly text: string
  readonly isProvoked: boolean
}

/** The part of the coverage of a script that is read here. */
interface ScriptCoverage {
  readonly url: string
  readonly functions: readonly { readonly ranges: readonly Range[] }[]
}

interface Range {
  readonly startOffset: number
  readonly endOffset: number
  readonly count: number
}

/** The root of the repository, with a `/` at its end. */
export const ROOT: string = fileURLToPath(new URL('../../../', import.meta.url))

const MAKES = [
  String.raw`\bnew (?:Lock\w*|Deadlock|OwnerDied|Input|InvalidArgument|Amount|Type)Error\(`,
  String.raw`\bnew DOMException\(`,
  // An error of the library itself, with a text of several parts.
  String.raw`\bnew Error\(${'`'}`,
  String.raw`(?<!function |\.)\b(?:webTypeError|notSupported|emitWarning|writeWarning)\(`,
  String.raw`\b(?:stderr\.write|console\.warn|fs\.writeSync)\(`,
  // The functions that make one text with several endings.
  String.raw`(?<!function )\b(?:refused|fault|bad|badDuration|damaged|noTable|warned)\((?!\)\s*[:{])`,
].join('|')
const RETURNS = String.raw`\breturn\b`

/** Files with generated code, which make no messages. */
const GENERATED = ['teller-code.ts', 'kernel-code.ts']

/** All origins, and whether each has run, by the coverage files in a folder. */
export function originsOf(coverage: string): Origin[] {
  const scripts = readCoverage(coverage)
  return sourceFiles().flatMap((file) => originsIn(file, scripts))
}

function sourceFiles(): string[] {
  return readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !GENERATED.some((name) => file.endsWith(name)))
    .map((file) => join(ROOT, 'src', file))
    .sort()
}

function originsIn(
  file: string,
  scripts: ReadonlyMap<string, readonly ScriptCoverage[]>,
): Origin[] {
  const path = relative(ROOT, file)
  const built = join(ROOT, 'dist', path.replace(/\.ts$/, '.js'))
  const pattern = path.startsWith(join('src', 'core', 'text')) ? `${MAKES}|${RETURNS}` : MAKES
  const source = readFileSync(file, 'utf8')
  const code = readFileSync(built, 'utf8')
  const [inSource, inCode] = [source, code].map((text) => offsetsIn(text, pattern))
  if (inSource?.length !== inCode?.length) {
    throw new Error(`${path}: ${inSource?.length} origins, but ${inCode?.length} when compiled`)
  }
  const runs = scripts.get(pathToFileURL(built).href) ?? []
  return (inSource ?? []).map((offset, i) => ({
    at: `${path}:${source.slice(0, offset).split('\n').length}`,
    text: lineAt(source, offset),
    isProvoked: runs.some((script) => hasRun(script, inCode?.[i] ?? 0)),
  }))
}

/** The offsets at which a pattern matches in a text, comments left out. */
function offsetsIn(text: string, pattern: string): number[] {
  const offsets = [...text.matchAll(new RegExp(pattern, 'g'))].map(({ index }) => index)
  return offsets.filter((offset) => !/^\s*(?:\*|\/\/|\/\*)/.test(lineAt(text, offset)))
}

function lineAt(text: string, offset: number): string {
  const start = text.lastIndexOf('\n', offset - 1) + 1
  const end = text.indexOf('\n', offset)
  return text.slice(start, end < 0 ? undefined : end).trim()
}

/** Whether code at an offset has run: the innermost range around it has the count. */
function hasRun({ functions }: ScriptCoverage, offset: number): boolean {
  let inner: Range | undefined
  for (const { ranges } of functions) {
    for (const range of ranges) {
      if (offset < range.startOffset || offset >= range.endOffset) continue
      if (inner === undefined || sizeOf(range) <= sizeOf(inner)) inner = range
    }
  }
  return inner !== undefined && inner.count > 0
}

function sizeOf({ startOffset, endOffset }: Range): number {
  return endOffset - startOffset
}

/** The coverage of every script of this package, by its address; several threads can have run it. */
function readCoverage(folder: string): Map<string, ScriptCoverage[]> {
  const scripts = new Map<string, ScriptCoverage[]>()
  for (const file of readdirSync(folder)) {
    const { result } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as {
      readonly result: readonly ScriptCoverage[]
    }
    for (const script of result) {
      if (!script.url.includes('/dist/src/')) continue
      // A copy that was loaded under another address.
      const url = script.url.replace(/\?.*/, '')
      scripts.set(url, [...(scripts.get(url) ?? []), script])
    }
  }
  return scripts
}
