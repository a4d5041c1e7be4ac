/**
 * Settings in which a blocking thread must see the death of another: each contains something that could keep
 * it from the dead thread's lifeline. As a program, it measures all of them on several runtimes: `npm run
 * deaths -- --settings`.
 */

import { fileURLToPath } from 'node:url'
import { type Ended, runShell } from '../spawn.ts'
import type { HolderOptions, HolderResult } from './holder.ts'

/** One setting. */
export interface Setting {
  readonly name: string
  readonly options?: Partial<HolderOptions>
  readonly env?: Readonly<Record<string, string>>
  /** A command that runs before the program, in the same shell. */
  readonly shell?: string
  /** Whether Node restricts what the program may do. */
  readonly isRestricted?: true
}

/** A runtime: the start of its command, and the npm package that has it unless it is this Node. */
interface Runtime {
  readonly name: string
  readonly npm?: string
  readonly command: string
  /** The flag that restricts a program; undefined if there is none. */
  readonly restrict?: string
}

const PROGRAM = fileURLToPath(new URL('./holder.js', import.meta.url))
const TIMEOUT_MS = 600_000

export const SETTINGS: readonly Setting[] = [
  { name: 'as it comes' },
  { name: 'TMPDIR not writable', env: { TMPDIR: '/nowhere' } },
  { name: 'no descriptor left', options: { noDescriptors: true }, shell: 'ulimit -n 256;' },
  { name: 'trackUnmanagedFds: false', options: { trackUnmanagedFds: false } },
  { name: '--permission, reading only', isRestricted: true },
]

/** The Node that runs this. */
export const THIS_NODE: Runtime & { readonly restrict: string } = {
  name: `Node ${process.versions.node}`,
  command: `'${process.execPath}'`,
  restrict: process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission',
}

const RUNTIMES: readonly Runtime[] = [
  ...[20, 22, 24, 26].map((version) => ({
    name: `Node ${version}`,
    npm: `node@${version}`,
    command: 'node',
    restrict: version < 24 ? '--experimental-permission' : '--permission',
  })),
  { name: 'Bun 1', npm: 'bun@1', command: 'bun' },
  { name: 'Deno 2', npm: 'deno@2', command: 'deno run -A' },
]

/** Runs the program in a setting; `undefined` if the runtime has no such setting. */
export function runSetting(
  { command, npm, restrict }: Runtime,
  { options, env, shell = '', isRestricted }: Setting,
  given: Pick<HolderOptions, 'deaths' | 'memory'>,
): Ended | undefined {
  if (isRestricted && !restrict) return undefined
  const flags = isRestricted ? `${restrict} --allow-worker --allow-fs-read=*` : ''
  const run = `${shell} ${command} ${flags} '${PROGRAM}' '${JSON.stringify({ ...given, ...options })}'`
  const settings = { timeoutMs: TIMEOUT_MS, ...(env && { env }) }
  if (!npm) return runShell(run, [], settings)
  return runShell('npx --yes "--package=$0" -c "$1"', [npm, run], settings)
}

/** Parses the output of the program. */
export function resultOf({ stdout, stderr }: Ended): HolderResult {
  try {
    return JSON.parse(stdout) as HolderResult
  } catch {
    return { seen: 0, timesMs: [], otherwise: (stdout + stderr).slice(-300) || 'nothing printed' }
  }
}

/** Measures all settings, and prints a line for each. Returns false if a death was missed. */
export function measureSettings(deaths: number, wanted: string): boolean {
  let isSound = true
  for (const runtime of RUNTIMES.filter(({ name }) => name.includes(wanted))) {
    for (const setting of SETTINGS) {
      const ended = runSetting(runtime, setting, { deaths, memory: 'wasm' })
      if (!ended) continue
      const { seen, timesMs, otherwise } = resultOf(ended)
      const sorted = [...timesMs].sort((a, b) => a - b)
      const ms = (value = 0): string => `${value.toFixed(1)} ms`
      console.log(
        `${runtime.name}, ${setting.name}: seen ${seen} of ${deaths}, ` +
          `median ${ms(sorted[sorted.length >> 1])}, at most ${ms(sorted.at(-1))}` +
          (otherwise ? ` (${otherwise.trim()})` : ''),
      )
      if (seen !== deaths) isSound = false
    }
  }
  return isSound
}
