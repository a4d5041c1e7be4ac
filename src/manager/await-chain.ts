/**
 * The await chain of a request: the functions that wait for it, read from V8's async stack trace.
 *
 * Source     V8's zero-cost async stack traces: from the running microtask, V8 follows each promise to the
 *            one async function, `then`, `finally` or combinator that reacts to it.
 * Steps      1. Each callback that goes on asynchronously is awaited by an async function of ours, whose
 *               name is unique among them ({@link takeFrame}).
 *            2. A waiting request is resumed, and reads the stack there ({@link readAwaitChain}).
 *            3. A holder's callback waits for the request if its name stands in that stack.
 * Invariant  A name belongs to one callback from when that returns a promise until that promise settles.
 * Limits     V8 stops where a promise has two reactions or none. A pending `Promise.race` and a hand-made
 *            promise leave no frame of their own, and count as waiting.
 * Cost       Some microseconds for each reading; nothing until there is one.
 */

/** The async function that awaits what one callback returned. */
export interface Frame {
  /** Its number, unique among those in use. Never 0. */
  readonly id: number
  /** Awaits a value, and calls one of the two functions when it has settled. Never rejects. */
  run(
    value: unknown,
    resolve: (value: unknown) => void,
    reject: (reason: unknown) => void,
    end: () => void,
  ): Promise<void>
}

/** What was read. */
export interface AwaitChain {
  /** The frames in it; whether no combinator (`Promise.all`, `allSettled`) stands before each. */
  readonly frames: ReadonlyMap<number, boolean>
  /** An error whose stack is the chain as text, unless only the frames were asked for. */
  readonly error: { readonly stack?: string } | undefined
}

/** Names of frames begin with this. Other installed copies of this package have other numbers behind it. */
const PREFIX = `lockwise holder ${Math.random().toString(36).slice(2, 8)}.`
/** More frames than this are not kept for other callbacks. */
const MAX_IDLE = 1024
/** A reading goes through at most so many calls. */
const MAX_CALLS = 10_000

const idle: Frame[] = []
let made = 0

/** A frame that no other callback uses. The caller hands it to {@link giveBack}. */
export function takeFrame(): Frame {
  return idle.pop() ?? newFrame(++made)
}

/** The frame's callback has settled. */
export function giveBack(frame: Frame): void {
  if (idle.length < MAX_IDLE) idle.push(frame)
}

/** The number of the frame that a line of a stack is; 0 for any other call. */
export function frameIn(call: string): number {
  const at = call.indexOf(PREFIX)
  return at < 0 ? 0 : Number.parseInt(call.slice(at + PREFIX.length), 10)
}

function newFrame(id: number): Frame {
  const name = PREFIX + id
  return {
    id,
    run: {
      async [name](
        value: unknown,
        resolve: (value: unknown) => void,
        reject: (reason: unknown) => void,
        end: () => void,
      ): Promise<void> {
        // Settled before the holding ends, so that it comes before what its end grants.
        try {
          resolve(await value)
        } catch (error) {
          reject(error)
        }
        end()
      },
    }[name] as Frame['run'],
  }
}

/** Reads the chain from inside the microtask that was started by what is waited for. */
export function readAwaitChain(what: 'frames' | 'frames and text'): AwaitChain | undefined {
  const { stackTraceLimit } = Error
  const ownHook = Object.getOwnPropertyDescriptor(Error, 'prepareStackTrace')
  try {
    Error.stackTraceLimit = MAX_CALLS
    Error.prepareStackTrace = framesIn
    const frames: unknown = new Error('await chain').stack
    if (!(frames instanceof Map)) return undefined
    if (what === 'frames') return { frames, error: undefined }
    // The text is formatted when it is read, as all other stacks are.
    restoreHook(ownHook)
    return { frames, error: new Error('await chain') }
  } catch {
    // Of frozen intrinsics, or an accessor of the user's that throws.
    return undefined
  } finally {
    try {
      Error.stackTraceLimit = stackTraceLimit
      restoreHook(ownHook)
    } catch {
      // A value that could not be set need not be restored.
    }
  }
}

function restoreHook(own: PropertyDescriptor | undefined): void {
  if (own) Object.defineProperty(Error, 'prepareStackTrace', own)
  else Reflect.deleteProperty(Error, 'prepareStackTrace')
}

/** The part of V8's call sites that is read. */
interface Call {
  getFunctionName(): string | null
  /** The index in a combinator's list; null for other calls. */
  getPromiseIndex?(): number | null
}

function framesIn(_error: Error, calls: readonly Call[]): Map<number, boolean> {
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
  return frames
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
  const [awaited, detached] = [takeFrame(), takeFrame()]
  const chains: (AwaitChain | undefined)[] = []
  const read = async (): Promise<void> => {
    await undefined
    chains.push(readAwaitChain('frames'))
  }
  const nothing = (): void => {}
  const waits = async (): Promise<void> => await read()
  const starts = async (): Promise<void> => {
    void read()
    await undefined
    await undefined
  }
  await awaited.run(waits(), nothing, nothing, nothing)
  await detached.run(starts(), nothing, nothing, nothing)
  const [first, second] = chains
  isProving = first?.frames.get(awaited.id) === true && second?.frames.size === 0
  giveBack(awaited)
  giveBack(detached)
  return isProving
}
