/**
 * The await chain of a request: the functions that wait for it, read from V8's async stack trace.
 *
 * Source     V8's zero-cost async stack traces: from the running microtask, V8 follows each promise to the
 *            one async function, `then`, `finally` or combinator that reacts to it.
 * Steps      1. The end of each callback in question is awaited by an async function of ours, whose name
 *               is unique among them ({@link awaitInFrame}).
 *            2. A waiting request is resumed, and reads the stack there ({@link readAwaitChain}).
 *            3. A holder's callback waits for the request if its name stands in that stack.
 * Invariant  A name belongs to one callback until the promise settles that it returned.
 * Limits     V8 stops where a promise has two reactions or none. A pending `Promise.race` and a hand-made
 *            promise leave no frame of their own, and count as waiting.
 * Cost       Some microseconds for each reading; nothing until there is one.
 */

/** One reading. */
export interface AwaitChain {
  /** The frames in it; whether no combinator (`Promise.all`, `allSettled`) stands before each. */
  readonly frames: ReadonlyMap<number, boolean>
  /** Whether its last request ({@link REQUEST}) is known to be awaited by the thread's outermost code. */
  readonly isAwaitedAtRoot: boolean
  /** An error whose stack is the chain as text, unless only the frames were asked for. */
  readonly error: { readonly stack?: string } | undefined
}

/** An async function that awaits the end of one callback. */
interface Frame {
  /** Its number, unique among those in use. Never 0. */
  readonly id: number
  run(end: Promise<unknown>): Promise<void>
}

/** Names of frames begin with this. Other installed copies of this package have other numbers behind it. */
const PREFIX = `lockwise holder ${Math.random().toString(36).slice(2, 8)}.`
/** The name of the function that a public method awaits which a program calls; it says where our calls end. */
export const REQUEST: string = `lockwise request ${Math.random().toString(36).slice(2, 8)}`
/** More frames than this are not kept for other callbacks. */
const MAX_IDLE = 1024
/** So many calls of ours stand between REQUEST and the program: the public method. */
const METHODS = 1
/** A reading goes through at most so many calls: a chain of promises that wait for themselves has no end. */
const MAX_CALLS = 10_000
/** And through so many more for each holder around the request. */
const MAX_CALLS_OF_HOLDER = 10

const idle: Frame[] = []
let made = 0

/**
 * Awaits the end of a callback in a function that no other callback uses. Returns the function's number
 * and its promise, which must lead to what else waits for the callback.
 */
export function awaitInFrame(end: Promise<unknown>): { id: number; awaits: Promise<void> } {
  const frame = idle.pop() ?? newFrame(++made)
  return { id: frame.id, awaits: frame.run(end) }
}

/** The number of the frame that a line of a stack is; 0 for any other call. */
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
 * Reads the chain from inside the microtask that was started by what is waited for. `holders`: how many are
 * around the request.
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
    // The text is formatted when it is read, as all other stacks are.
    const error = what === 'frames' ? undefined : new Error('await chain')
    return { frames, isAwaitedAtRoot, error }
  } catch {
    // Frozen intrinsics, or an accessor of the user's that throws.
    return undefined
  } finally {
    try {
      restore()
    } catch {
      // A value that could not be set need not be restored.
    }
  }
}

/** The part of V8's call sites that is read. */
interface Call {
  getFunctionName(): string | null
  /** The index in a combinator's list; null for other calls. */
  getPromiseIndex?(): number | null
  getFileName?(): string | null
  /** Where the function begins that is called, both from 1. */
  getEnclosingLineNumber?(): number | null
  getEnclosingColumnNumber?(): number | null
}

/** Tells our own reading of a stack from what another `prepareStackTrace` makes of it. */
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
      // The first that fulfils is enough for `Promise.any`: what comes behind it need not wait.
      if (name === 'any') break
      isSequential = false
    } else if (name.startsWith(PREFIX)) frames.set(Number(name.slice(PREFIX.length)), isSequential)
  }
  return new Reading(frames, isAwaitedAtRoot(calls))
}

/**
 * Whether the function that made the last request awaits it itself, and is the outermost: the code of a
 * module, or a function that the runtime awaits (a test of node:test). Else the chain may be one branch of
 * several: it has a combinator, ends in a function that nobody awaits, or leads through other functions.
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

/** Whether a call runs a module's own code: that of a function begins later in the file. */
function isModule(call: Call): boolean {
  const begins = [call.getEnclosingLineNumber?.(), call.getEnclosingColumnNumber?.()]
  return !call.getFunctionName() && begins.every((place) => place === 1)
}

let verdict: Promise<boolean> | undefined
let isProving = false

/** Whether this runtime shows in a stack who awaits; found out once, by trying. */
export function canProve(): Promise<boolean> {
  verdict ??= tryOut()
  return verdict
}

/** The same, as far as it is known: false until {@link canProve} has answered. */
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
