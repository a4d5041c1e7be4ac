/**
 * The parts of Node that the manager's tests use, for browsers: just enough of `node:test`,
 * `node:assert/strict` and `node:timers/promises`. The page's import map replaces those by this file.
 */

interface Test {
  readonly name: string
  readonly run: () => unknown
}

const tests: Test[] = []
const afterEachTest: (() => unknown)[] = []

export function describe(_name: string, options: unknown, body?: () => void): void {
  const run = body ?? (options as () => void)
  run()
}

export function it(name: string, options: unknown, body?: () => unknown): void {
  tests.push({ name, run: body ?? (options as () => unknown) })
}

export function afterEach(body: () => unknown): void {
  afterEachTest.push(body)
}

/** Runs all tests, one after the other; each has ten seconds. */
export async function runAll(): Promise<{ name: string; error?: string }[]> {
  const results: { name: string; error?: string }[] = []
  for (const { name, run } of tests.splice(0)) {
    const late = new Promise((_resolve, reject) => {
      globalThis.setTimeout(() => reject(new Error('not done after 10 s')), 10_000)
    })
    try {
      await Promise.race([run(), late])
      for (const after of afterEachTest) await after()
      results.push({ name })
    } catch (error) {
      results.push({ name, error: String((error as Error)?.stack ?? error) })
    }
  }
  afterEachTest.length = 0
  return results
}

/** As in `node:timers/promises`. */
export function setTimeout(ms: number): Promise<void> {
  return new Promise((resolve) => globalThis.setTimeout(resolve, ms))
}

export function setImmediate(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => resolve()
    port2.postMessage(0)
  })
}

type Expected = ((error: never) => boolean) | RegExp | object | (new (...args: never[]) => Error)

function check(value: unknown, message: string): void {
  if (!value) throw new Error(`assertion failed: ${message}`)
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? String(value)
}

function mustBeExpected(error: unknown, expected: Expected | undefined): void {
  if (expected === undefined) return
  if (expected instanceof RegExp) check(expected.test(String(error)), `${error} is ${expected}`)
  else if (typeof expected === 'function') {
    const isClass = expected.prototype !== undefined
    const fits = isClass
      ? error instanceof (expected as new () => Error)
      : (expected as (error: unknown) => boolean)(error)
    check(fits, `${error} is what was expected`)
  } else {
    for (const [key, value] of Object.entries(expected)) {
      const actual = (error as Record<string, unknown>)[key]
      const fits = value instanceof RegExp ? value.test(String(actual)) : Object.is(actual, value)
      check(fits, `${key} ${show(actual)} is ${value}`)
    }
  }
}

const assert: Readonly<Record<string, (...args: never[]) => unknown>> = {
  ok: check,
  equal: (a: unknown, b: unknown) => check(Object.is(a, b), `${show(a)} is ${show(b)}`),
  deepEqual: (a: unknown, b: unknown) => check(show(a) === show(b), `${show(a)} is ${show(b)}`),
  match: (text: string, pattern: RegExp) => check(pattern.test(text), `${text} matches ${pattern}`),
  doesNotMatch: (text: string, pattern: RegExp) =>
    check(!pattern.test(text), `${text} does not match ${pattern}`),
  fail: (message = 'not to be reached'): never => {
    throw new Error(message)
  },
  throws: (run: () => unknown, expected?: Expected) => {
    try {
      run()
    } catch (error) {
      mustBeExpected(error, expected)
      return
    }
    throw new Error('assertion failed: it throws')
  },
  rejects: async (promise: Promise<unknown> | (() => Promise<unknown>), expected?: Expected) => {
    try {
      await (typeof promise === 'function' ? promise() : promise)
    } catch (error) {
      mustBeExpected(error, expected)
      return
    }
    throw new Error('assertion failed: it rejects')
  },
}

// biome-ignore lint/style/noDefaultExport: as node:assert/strict has it
export default assert
