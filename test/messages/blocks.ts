/** Prints messages as blocks: a heading that says how the message was provoked, its name and code, its text. */

import { isLockwiseError } from '../../src/index.ts'
import { runNode } from '../spawn.ts'
import { ROOT } from './origins.ts'

/** An error, a warning or a report. */
interface Message {
  readonly name: string
  readonly code?: unknown
  readonly message: string
}

/** Prints a block. */
export function print(how: string, { name, code, message }: Message): void {
  const heading = typeof code === 'string' && code !== '' ? `${name} ${code}` : name
  const text = message.replaceAll(`file://${ROOT}dist/`, '').replaceAll(ROOT, '')
  process.stdout.write(`# ${how}\n${heading}\n${text.replaceAll(/^/gm, '    ')}\n\n`)
}

/** Makes a call that must throw or reject, and prints its error, and the error's cause. */
export async function provoke(how: string, call: () => unknown): Promise<void> {
  let answer: unknown
  try {
    answer = await call()
  } catch (error) {
    const thrown = error as Error
    print(how, thrown)
    if (isLockwiseError(thrown.cause)) print(`${how}: the cause of the error`, thrown.cause)
    return
  }
  throw new Error(`${how}: this was not refused, and returned ${String(answer)}`)
}

/** Provokes the error of each call. The heading is the call itself. */
export async function provokeEach(calls: readonly (() => unknown)[]): Promise<void> {
  for (const call of calls) {
    const source = String(call).replace(/^(?:async )?\(\) => /, '')
    await provoke(source.replaceAll(/\s+/g, ' '), call)
  }
}

/** Prints the warnings that the process emits during some work. There must be at least one. */
export async function provokeWarnings(how: string, work: () => unknown): Promise<void> {
  const warnings: Error[] = []
  const hear = (warning: Error): void => {
    if (warning.name === 'LockwiseWarning') warnings.push(warning)
  }
  process.on('warning', hear)
  try {
    await work()
    const end = Date.now() + WARNING_MS
    while (warnings.length === 0 && Date.now() < end) await nextTurn()
  } finally {
    process.off('warning', hear)
  }
  if (warnings.length === 0) throw new Error(`${how}: there was no warning`)
  for (const warning of warnings) print(how, warning)
}

/** A warning that has not come after this time does not come. */
const WARNING_MS = 10_000

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5))
}

/** How a program runs. */
interface AloneOptions {
  /** Code that runs before the package is imported. */
  readonly setup?: string
  /** Flags of Node. */
  readonly flags?: readonly string[]
}

/**
 * Runs a program in a process of its own, which must write a warning or end with an error of this library. Prints
 * that. The program can use `lockwise` and `threads`, the entries of the package.
 */
export function provokeAlone(
  how: string,
  program: string,
  { setup = '', flags = [] }: AloneOptions = {},
): void {
  const [lockwise, threads] = ['index.js', 'backends/threads/index.js'].map((entry) =>
    JSON.stringify(new URL(`../../src/${entry}`, import.meta.url).href),
  )
  const code = `${setup}
    const lockwise = await import(${lockwise})
    const threads = await import(${threads})
    ${program}`
  const { stderr } = runNode([...flags, '--input-type=module', '--eval', code])
  const [, warning] = /LockwiseWarning: ([\s\S]*?)\n(?:\(Use |\(node:|$)/.exec(stderr) ?? []
  const [, name, text] = /^(Lock\w*Error): (.*)$/m.exec(stderr) ?? []
  const message = warning ?? text
  if (message === undefined) throw new Error(`${how}: there was no message, but\n${stderr}`)
  print(how, { name: warning === undefined ? (name ?? '') : 'LockwiseWarning', message })
}
