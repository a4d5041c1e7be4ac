/**
 * Starts processes for tests, all with one neutral environment: their output must not depend on the terminal,
 * the test runner or the user's settings. (Node's test runner sets `FORCE_COLOR` for its children when it
 * writes to a terminal, and always sets `NODE_TEST_CONTEXT`.)
 */

import { execFile, spawnSync } from 'node:child_process'
import { promisify } from 'node:util'

/** The options of a process. */
export interface SpawnOptions {
  readonly cwd?: string
  /** Set in addition to the neutral environment. */
  readonly env?: Readonly<Record<string, string>>
  /** The text on its stdin. Default: empty. */
  readonly input?: string
  /** It is killed after this many milliseconds. Default 300,000. */
  readonly timeoutMs?: number
}

/** The result of a process that has ended. */
export interface Ended {
  /** Its exit status; `null` if a signal ended it, or it could not be started. */
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Variables that change what Node, its tools or lockwise write, or how they run. */
const NOT_NEUTRAL =
  /^(FORCE_COLOR|NO_COLOR|NODE_DISABLE_COLORS|CLICOLOR.*|COLORTERM|TERM|COLUMNS|LINES|NODE_OPTIONS|NODE_NO_WARNINGS|NODE_DEBUG.*|NODE_PENDING_DEPRECATION|NODE_TEST_.*|NODE_REDIRECT_WARNINGS|LOCKWISE_.*)$/

const MAX_OUTPUT_BYTES = 2 ** 26
const TIMEOUT_MS = 300_000

/** The environment of a process that a test starts. Coverage continues in it. */
export function neutralEnv(more: SpawnOptions['env'] = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !NOT_NEUTRAL.test(name))
  return { ...Object.fromEntries(kept), ...more }
}

/** Runs a program to its end. */
export function run(
  file: string,
  args: readonly string[],
  { env, timeoutMs = TIMEOUT_MS, ...options }: SpawnOptions = {},
): Ended {
  const { status, stdout, stderr } = spawnSync(file, args, {
    ...options,
    env: neutralEnv(env),
    timeout: timeoutMs,
    encoding: 'utf8',
    maxBuffer: MAX_OUTPUT_BYTES,
  })
  return { status, stdout: stdout ?? '', stderr: stderr ?? '' }
}

/** Runs this Node to its end. */
export function runNode(args: readonly string[], options?: SpawnOptions): Ended {
  return run(process.execPath, args, options)
}

/** Runs a shell command to its end; the arguments are `$0`, `$1` and so on in it. */
export function runShell(command: string, args: readonly string[], options?: SpawnOptions): Ended {
  return run('sh', ['-c', command, ...args], options)
}

/** Runs this Node asynchronously; rejects if it fails. */
export function outputOfNode(
  args: readonly string[],
  { env, timeoutMs = TIMEOUT_MS, ...options }: Omit<SpawnOptions, 'input'> = {},
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  return promisify(execFile)(process.execPath, args, {
    ...options,
    env: neutralEnv(env),
    timeout: timeoutMs,
    encoding: 'utf8',
    maxBuffer: MAX_OUTPUT_BYTES,
  })
}
