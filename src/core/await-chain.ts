/**
 * The await chain of a request: the functions that wait for it, read from V8's async stack trace.
 *
 * Source     V8's zero-cost async stack traces: from the running microtask, V8 follows each promise to the
 *            one async function, `then`, `finally` or combinator that reacts to it.
 * Steps      1. For each holder around the request, an async function of ours awaits the end of the holder's
 *               callback. Each such function has a name of its own ({@link awaitInFrame}).
 *            2. The code that awaits the grant of the request is resumed, reads the stack
 *               ({@link readAwaitChain}), and awaits again.
 *            3. A holder's callback waits for the request if its name is in that stack.
 * Invariant  A name belongs to one callback until the promise that the callback returned settles.
 * Limits     V8 stops at a promise that has two reactions or none. A pending `Promise.race` and a hand-made
 *            promise leave no frame of their own, and count as waiting.
 * Cost       Some microseconds for each reading; nothing until the first one.
 */

/** The result of one reading. */
export interface AwaitChain {
  /**
   * The frames in the chain. The value is true if no combinator (`Promise.all`, `allSettled`) is between the
   * request and the frame.
   */
  readonly frames: ReadonlyMap<number, boolean>
  /** Whether the thread's outermost code is known to await the outermost request ({@link REQUEST}). */
  readonly isAwaitedAtRoot: boolean
  /** An error whose stack is the chain as text; `undefined` if only the frames were requested. */
  readonly error: { readonly stack?: string } | undefined
}

/** An async function that awaits the end of one callback. */
interface Frame {
  /** Unique among the frames in use. Never 0. */
  readonly id: number
  run(end: Promise<unknown>): Promise<void>
}

/** The prefix of frame names. Each installed copy of this package has its own random part. */
const PREFIX = `lockwise holder ${Math.random().toString(36).slice(2, 8)}.`
/** The name of the internal function that public methods await: it marks where our calls end in a stack. */
export const REQUEST: string = `lockwise request ${Math.random().toString(36).slice(2, 8)}`
/** The number of unused frames that are kept for other callbacks. */
const MAX_IDLE = 1024
/** The number of our own calls between REQUEST and the program: the public method. */
const METHODS = 1
/** The maximum number of calls in one reading: promises that wait for each other in a cycle have no end. */
const MAX_CALLS = 10_000
/** The number of further calls for each holder around the request. */
const MAX_CALLS_OF_HOLDER = 10

const idle: Frame[] = []
let made = 0

/**
 * Awaits the end of a callback in a function that no other callback uses. Returns the function's number and
 * its promise. Code that waits for the callback must wait for that promise.
 */
export function awaitInFrame(end: Promise<unknown>): { id: number; awaits: Promise<void> } {
  const frame = idle.pop() ?? newFrame(++made)
  return { id: frame.id, awaits: frame.run(end) }
}

/** Returns the number of the frame in one line of a stack; 0 if the line is another call. */
export function frameIn(call: string): number {
  const at = call.indexOf(PREFIX)
  return at < 0 ? 0 : Number.parseInt(call.slice(at + PREFIX.length), 10)
}

function newFrame(id: number): Frame {
  const name = PREFIX + id
  const run = {
    async [name](end: Promise<unknown>): Promise<void> {
      try {
        await end
      } catch {
        // The caller of request() gets the error.
      }
      if (idle.length < MAX_IDLE) idle.push(frame)
    },
  }[name] as Frame['run']
  const frame: Frame = { id, run }
  return frame
}

/**
 * Reads the chain. The caller must run in the microtask that the awaited promise started. `holders` is the
 * number of holders around the request.
 */
export function readAwaitChain(
  what: 'frames' | 'frames and text',
  holders = 0,
): AwaitChain | undefined {
  let restore = (): void => {}
  try {
    const { stackTraceLimit, prepareStackTrace } = Error
    restore = () => Object.assign(Error, { stackTraceLimit, prepareStackTrace })
    Error.stackTraceLimit = MAX_CALLS + MAX_CALLS_OF_HOLDER * holders
    Error.prepareStackTrace = framesIn
    const read: unknown = new Error('await chain').stack
    Error.prepareStackTrace = prepareStackTrace
    if (!(read instanceof Reading)) return undefined
    const { frames, isAwaitedAtRoot } = read
    // Formatted only when its text is read, as all other stacks are.
    const error = what === 'frames' ? undefined : new Error('await chain')
    return { frames, isAwaitedAtRoot, error }
  } catch {
    // Frozen intrinsics, or an accessor of the program that throws.
    return undefined
  } finally {
    try {
      restore()
    } catch {
      // A value that cannot be set did not change, and needs no restoring.
    }
  }
}

/** The part of V8's call sites that this file reads. */
interface Call {
  getFunctionName(): string | null
  /** The index in a combinator's list; null for other calls. */
  getPromiseIndex?(): number | null
  getFileName?(): string | null
  /** The line where the called function begins, from 1, like the column. */
  getEnclosingLineNumber?(): number | null
  getEnclosingColumnNumber?(): number | null
}

/** Distinguishes our own reading of a stack from the result of another `prepareStackTrace`. */
class Reading {
  readonly frames: ReadonlyMap<number, boolean>
  readonly isAwaitedAtRoot: boolean

  constructor(frames: ReadonlyMap<number, boolean>, isAwaitedAtRoot: boolean) {
    this.frames = frames
    this.isAwaitedAtRoot = isAwaitedAtRoot
  }
}

function framesIn(_error: Error, calls: readonly Call[]): Reading {
  const frames = new Map<number, boolean>()
  let isSequential = true
  for (const call of calls) {
    const name = call.getFunctionName() ?? ''
    if (call.getPromiseIndex?.() != null) {
      // The first promise that fulfils settles `Promise.any`: calls further out may not wait for this one.
      if (name === 'any') break
      isSequential = false
    } else if (name.startsWith(PREFIX)) frames.set(Number(name.slice(PREFIX.length)), isSequential)
  }
  return new Reading(frames, isAwaitedAtRoot(calls))
}

/**
 * Whether the function that made the outermost request awaits it directly, and is the thread's outermost
 * code: the code of a module, or a function that the runtime awaits (a test of node:test). Otherwise the
 * chain may be one branch of several: it has a combinator, ends in a function that nothing awaits, or leads
 * through other functions.
 */
function isAwaitedAtRoot(calls: readonly Call[]): boolean {
  const last = calls.findLastIndex((call) => call.getFunctionName() === REQUEST)
  if (last < 0) return false
  const [caller, ...around] = calls.slice(last + 1 + METHODS)
  if (caller === undefined || isRuntimes(caller)) return false
  if ([caller, ...around].some((call) => call.getPromiseIndex?.() != null)) return false
  return around[0] === undefined ? isModule(caller) : isRuntimes(around[0])
}

function isRuntimes(call: Call): boolean {
  return call.getFileName?.()?.startsWith('node:') === true
}

/** Whether a call runs a module's own code. A function's code begins later in the file. */
function isModule(call: Call): boolean {
  const begins = [call.getEnclosingLineNumber?.(), call.getEnclosingColumnNumber?.()]
  return !call.getFunctionName() && begins.every((position) => position === 1)
}

let verdict: Promise<boolean> | undefined
let isProving = false

/** Whether async stacks in this runtime show the awaiting functions. The first call tries it out. */
export function canProve(): Promise<boolean> {
  verdict ??= tryOut()
  return verdict
}

/** The result of {@link canProve}, without waiting: false until it has answered. */
export function provesWaits(): boolean {
  return isProving
}

async function tryOut(): Promise<boolean> {
  const chains: (AwaitChain | undefined)[] = []
  const read = async (): Promise<void> => {
    await undefined
    chains.push(readAwaitChain('frames'))
  }
  const waits = async (): Promise<void> => await read()
  const starts = async (): Promise<void> => {
    void read()
    await undefined
    await undefined
  }
  const awaited = awaitInFrame(waits())
  await awaited.awaits
  await awaitInFrame(starts()).awaits
  const [first, second] = chains
  isProving = first?.frames.get(awaited.id) === true && second?.frames.size === 0
  return isProving
}
