/**
 * The parts of Node that runs of the bank use. They are looked up on use, so that the bank can be bundled for
 * browsers, where it runs on tasks.
 */

import type { Worker, WorkerOptions } from 'node:worker_threads'
import { LockUsageError } from '../index.ts'

interface Builtins {
  readonly 'node:worker_threads': typeof import('node:worker_threads')
  readonly 'node:fs': typeof import('node:fs')
}

interface NodeProcess {
  getBuiltinModule?<Id extends keyof Builtins>(id: Id): Builtins[Id] | undefined
}

const { process, setImmediate: immediately } = globalThis as {
  readonly process?: NodeProcess
  readonly setImmediate?: (callback: () => void) => unknown
}

/**
 * Returns a function that starts tellers' threads: from their file, or from their code if this module was
 * bundled.
 *
 * @throws LockUsageError in a browser, and in Node before 20.16.
 */
export async function tellerStarter(): Promise<(options: WorkerOptions) => Worker> {
  const threads = process?.getBuiltinModule?.('node:worker_threads')
  if (threads === undefined) {
    throw new LockUsageError(
      'runBank needs the worker threads of Node.js 20.16 or newer: use runBankOnTasks here',
    )
  }
  const file = tellerFile()
  if (file !== undefined) return (options) => new threads.Worker(file, options)
  const { tellerCode } = await import('./teller-code.ts')
  return (options) => new threads.Worker(tellerCode, { ...options, eval: true })
}

/** Returns the teller's file, beside this one; `undefined` in a bundle, which has other files beside it. */
function tellerFile(): URL | undefined {
  // Undefined in a CommonJS bundle. In other bundles it may be this file's name at bundling time.
  const here: string | undefined = import.meta.url
  const ending = /\/src\/bank\/node(\.[jt]s)$/.exec(here ?? '')?.[1]
  if (ending === undefined) return undefined
  const file = new URL(`./teller${ending}`, here)
  return process?.getBuiltinModule?.('node:fs')?.existsSync(file) ? file : undefined
}

let channel: MessageChannel | undefined
const turns: (() => void)[] = []

/** Lets the event loop run one turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (immediately) immediately(resolve)
    else {
      turns.push(resolve)
      channel ??= openChannel()
      channel.port2.postMessage(null)
    }
  })
}

/** A message to oneself arrives in the next turn; timers in browsers take some milliseconds. */
function openChannel(): MessageChannel {
  const made = new MessageChannel()
  made.port1.onmessage = () => turns.shift()?.()
  return made
}
