/**
 * Runs the locks' own code through every interleaving of its memory operations.
 *
 * Source    Stateless model checking, as in CDSChecker (B. Norris and B. Demsky, 2013) and Rust's loom.
 *           States already seen are pruned as in an explicit-state model checker.
 * Steps     1. The memory port of the locks is `Atomics` and the table's typed arrays. Here both are models,
 *              and the code does not notice.
 *           2. The state of a thread is the list of the results of its operations so far. A step runs the
 *              thread from its beginning and replays these results. It then lets the thread do one more
 *              operation on the model's memory, and stops it before the next.
 *           3. From the first state on, every thread that can continue makes a step, layer by layer. Two
 *              paths to the same memory and the same results are one state.
 *           4. On request, memory is that of an x86 (P. Sewell and others, "x86-TSO", 2010). A plain store
 *              waits in its thread's buffer, first in, first out, and lands at any moment. Its own thread
 *              reads it from there. Every operation that changes a word by `Atomics`, sleeps or wakes needs
 *              the thread's buffer to be empty.
 * Limits    Memory is sequentially consistent, or that of an x86. An access without `Atomics` happens
 *           together with the operation before it. A sleep below 1 ms ends at once. A long sleep ends by a
 *           wake-up, or by timeout as often as the setup allows. A state in which all live threads sleep is a
 *           fault, although a real sleep is bounded. A thread that has read the same words eight times stops
 *           until memory changes.
 * Time      The model knows one fact about time: a short sleep outlasts every store that was in a buffer when
 *           it began. On an x86 it ends by a wake-up, or at any moment after these stores have landed. Where
 *           memory is sequentially consistent, it ends at once.
 * Cost      Some ten microseconds a step.
 */

/** The threads to explore, and the bounds of the exploration. */
export interface Setup<Context> {
  /** Makes the context of a thread. It runs for all threads in turn, before the exploration begins. */
  readonly begin: (me: number) => Context
  readonly threads: readonly ((context: Context, world: World, me: number) => void)[]
  /** Threads that may die at any step. */
  readonly mortal?: readonly number[]
  /** The maximum number of threads that die. Default 1. */
  readonly deaths?: number
  /** The number of sleeps of each thread that may end by timeout. Default 0. */
  readonly timeouts?: number
  /**
   * The maximum number of preemptions: switches from a thread that could continue. Default: unlimited. Where
   * there are too many paths, those with few preemptions are the ones to explore (M. Musuvathi and S. Qadeer,
   * "Iterative context bounding", 2007).
   */
  readonly preemptions?: number
  /** Words that only one thread ever changes or waits for. To it they are like accesses without `Atomics`. */
  readonly isPrivate?: (index: number) => boolean
  /** Words for which a plain store goes through an x86's store buffer. Default: none. */
  readonly isBuffered?: (index: number) => boolean
  /** Checks the final outcomes of the threads; throws if they are wrong. */
  readonly end?: (outcomes: readonly string[]) => void
}

/** The operations that the model offers a thread, besides the memory. */
export interface World {
  /** Works behind locks: no other thread may be inside. */
  inside(locks: readonly number[]): void
  /** Reads the data that locks guard: no thread may be writing there. */
  looks(locks: readonly number[]): void
  /** Repairs what a dead thread left: no live thread may be behind these locks. */
  repairs(locks: readonly number[]): void
  /** Stores a number that all threads can read. */
  note(index: number, value: number): void
  noted(index: number): number
  /** Blocks until the number noted at `index` is not 0. */
  awaitNote(index: number): void
  /** Blocks until `count` threads have died, and returns the last of them. */
  awaitDeath(count: number): number
  /** Sets the final outcome of this thread. */
  outcome(text: string): void
  fault(text: string): never
}

/** The result of an exploration. */
export interface Explored {
  readonly states: number
  /** The number of paths from the beginning to an end. */
  readonly schedules: number
  readonly seconds: number
  /** The first fault, and a shortest path to it. */
  readonly fault: { readonly what: string; readonly path: readonly string[] } | undefined
}

type Answer = number | string
type Status = 'running' | 'asleep' | 'woken' | 'done' | 'dead'
type Move = 'step' | 'time' | 'die' | 'land'
/** A plain store that has not landed yet. */
type Store = readonly [index: number, value: number]

interface ThreadState {
  readonly answers: readonly Answer[]
  readonly hash: number
  readonly status: Status
  /** The operation that the thread is about to do. */
  readonly pending: string
  /** The word on which the thread sleeps. */
  readonly sleepsAt: number
  /**
   * In a short sleep: the number of stores of each thread that were buffered when it began and have not
   * landed.
   */
  readonly outlasts: readonly number[] | undefined
  /** The plain stores of the thread that have not landed, the oldest first. */
  readonly buffer: readonly Store[]
  readonly timeouts: number
  readonly outcome: string
  /** The operations of the thread since memory last changed. */
  readonly looks: readonly string[]
}

interface State {
  readonly memory: Int32Array
  readonly threads: readonly ThreadState[]
  /** The sleeping threads, in the order in which they fell asleep. */
  readonly sleepers: readonly number[]
  readonly dead: readonly number[]
  /** The thread that made the last step, and the number of preemptions so far. */
  readonly last: number
  readonly preemptions: number
  readonly trace: Trace | undefined
  /** The number of paths that lead here. */
  paths: number
}

interface Trace {
  readonly before: Trace | undefined
  readonly text: string
}

/** Thrown to leave the code at its current operation. */
const SUSPEND = new Error('suspended')

/** An error in the code that is explored. */
class Fault extends Error {
  trace: Trace | undefined
}

/** The size of the model's memory: each index that is used gets a cell. */
const CELLS = 256
/** A number below this notes the writer behind a lock; bits from here up note the readers. */
const LEAST_READER = 8
const AWAITS_DEATH = 'awaits death '
const AWAITS_NOTE = 'awaits note '
/** After this many identical reads, a thread is only looping. */
const ROUNDS = 8
/** Shorter sleeps end at once. */
const SHORT_SLEEP_MS = 1
/** Shorter sleeps are "short sleeps". */
const LONG_SLEEP_MS = 50
/** The operations that an x86 performs only after the thread's stores have landed. */
const LOCKED = /^(and|or|add|exchange|store|compareExchange|notify|wait) /

export class Explorer<Context> {
  readonly #setup: Setup<Context>
  readonly #cells = new Map<number, number>()

  // The current run of one thread.
  #me = 0
  #state: State | undefined
  #answers: Answer[] = []
  #answered = 0
  #operationsLeft = 0
  #suspended = false
  #timedOut = false
  #memory = new Int32Array(CELLS)
  #changed = false
  #sleepers: number[] = []
  #woken: number[] = []
  #sleepsAt = -1
  #outlasts: number[] | undefined
  #buffer: Store[] = []
  #pending = ''
  #outcome = ''

  constructor(setup: Setup<Context>) {
    this.#setup = setup
  }

  /** The model of the table's words. */
  readonly words: Int32Array = this.#array(0)
  /** The model of the table's float64s. */
  readonly floats: Float64Array = this.#array(1e9) as unknown as Float64Array

  /** The thread that is running. */
  get me(): number {
    return this.#me
  }

  /** Whether a thread has died, as lifelines.ts would answer. */
  hasDied(thread: number): boolean {
    const dead = (): number => Number(this.#state?.dead.includes(thread))
    return this.#operation(`is ${thread} dead?`, dead) === 1
  }

  explore(): Explored {
    const real = { Atomics: globalThis.Atomics, performance: globalThis.performance }
    const { stackTraceLimit } = Error
    const began = performance.now()
    let states = 0
    let schedules = 0
    let fault: Explored['fault']
    Object.assign(globalThis, {
      Atomics: this.#atomics(),
      performance: { timeOrigin: 0, now: () => 0 },
    })
    Error.stackTraceLimit = 0
    try {
      for (let layer = [this.#first()]; layer.length > 0; ) {
        const following = new Map<string, State>()
        for (const state of layer) {
          states++
          const moves = this.#moves(state)
          if (moves.length === 0) {
            this.#checkEnd(state)
            schedules += state.paths
          }
          for (const [thread, move] of moves) {
            const next = this.#moved(state, thread, move)
            const key = keyOf(next)
            const known = following.get(key)
            if (known) known.paths += next.paths
            else following.set(key, next)
          }
        }
        layer = [...following.values()]
      }
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      fault = { what: error.message, path: pathOf(error.trace) }
    } finally {
      Object.assign(globalThis, real)
      Error.stackTraceLimit = stackTraceLimit
    }
    return { states, schedules, seconds: (performance.now() - began) / 1000, fault }
  }

  #moved(state: State, thread: number, move: Move): State {
    if (move === 'die') return die(state, thread)
    if (move === 'land') return this.#land(state, thread)
    return this.#run(state, thread, 1, move === 'time')
  }

  #first(): State {
    const thread: ThreadState = {
      answers: [],
      hash: 0,
      status: 'running',
      pending: '',
      sleepsAt: -1,
      outlasts: undefined,
      buffer: [],
      timeouts: this.#setup.timeouts ?? 0,
      outcome: '',
      looks: [],
    }
    let state: State = {
      memory: new Int32Array(CELLS),
      threads: this.#setup.threads.map(() => thread),
      sleepers: [],
      dead: [],
      last: -1,
      preemptions: 0,
      trace: undefined,
      paths: 1,
    }
    for (const i of this.#setup.threads.keys())
      state = this.#run(state, i, Number.POSITIVE_INFINITY)
    return { ...state, last: -1, preemptions: 0, trace: undefined }
  }

  #moves(state: State): [number, Move][] {
    const moves = this.#possible(state)
    if (state.preemptions < (this.#setup.preemptions ?? Number.POSITIVE_INFINITY)) return moves
    const stays = moves.filter(([thread, move]) => thread === state.last && move === 'step')
    if (stays.length === 0) return moves
    return [...stays, ...moves.filter(([, move]) => move === 'land')]
  }

  #possible(state: State): [number, Move][] {
    const moves: [number, Move][] = []
    for (const [i, thread] of state.threads.entries()) {
      const { status, pending, timeouts, looks, buffer, outlasts } = thread
      if (buffer.length > 0) moves.push([i, 'land'])
      if (status === 'done' || status === 'dead') continue
      if (status === 'asleep') {
        if (outlasts ? outlasts.every((stores) => stores === 0) : timeouts > 0)
          moves.push([i, 'time'])
      } else if (buffer.length > 0 && LOCKED.test(pending)) continue
      else if (!goesRound(looks) && !this.#standsStill(pending, state)) moves.push([i, 'step'])
    }
    // Where no thread can continue, a death does not help.
    if (moves.length === 0 || state.dead.length === (this.#setup.deaths ?? 1)) return moves
    for (const i of this.#setup.mortal ?? []) {
      const status = state.threads[i]?.status
      if (status !== 'done' && status !== 'dead') moves.push([i, 'die'])
    }
    return moves
  }

  /** Whether a thread about to do this operation waits for something that has not happened yet. */
  #standsStill(pending: string, { dead, memory }: State): boolean {
    if (pending.startsWith(AWAITS_DEATH))
      return Number(pending.slice(AWAITS_DEATH.length)) > dead.length
    if (!pending.startsWith(AWAITS_NOTE)) return false
    const index = indexOf(1000 + Number(pending.slice(AWAITS_NOTE.length)))
    return memory[this.#cell(index)] === 0
  }

  #checkEnd(state: State): void {
    const left = state.threads.flatMap(({ status, pending }, i) =>
      status === 'done' || status === 'dead' || pending.startsWith(AWAITS_DEATH)
        ? []
        : [`${i} ${status === 'asleep' ? 'sleeps' : 'goes round'}: ${pending}`],
    )
    try {
      if (left.length > 0) throw new Fault(`nobody can go on: ${left.join('; ')}`)
      this.#setup.end?.(state.threads.map(({ outcome }) => outcome))
    } catch (error) {
      throw tracedTo(state.trace, error)
    }
  }

  /** Lets a thread do some operations; if their number is infinite, only its `begin`. */
  #run(state: State, me: number, operations: number, timedOut = false): State {
    const before = state.threads[me] as ThreadState
    this.#me = me
    this.#state = state
    this.#answers = [...before.answers]
    this.#answered = 0
    this.#operationsLeft = operations
    this.#suspended = false
    this.#timedOut = timedOut
    this.#memory = state.memory.slice()
    this.#changed = false
    this.#sleepers = [...state.sleepers]
    this.#woken = []
    this.#sleepsAt = -1
    this.#outlasts = undefined
    this.#buffer = [...before.buffer]
    this.#pending = ''
    this.#outcome = ''
    const trace = {
      before: state.trace,
      text: `${me}: ${before.pending}${timedOut ? ' by time' : ''}`,
    }
    const ended = this.#perform(operations === Number.POSITIVE_INFINITY, trace)
    const fresh = this.#answers.slice(before.answers.length)
    const mine: ThreadState = {
      answers: this.#answers,
      hash: fresh.reduce<number>(mix, before.hash),
      status: ended ? 'done' : this.#sleepsAt >= 0 ? 'asleep' : 'running',
      pending: this.#pending,
      sleepsAt: this.#sleepsAt,
      outlasts: this.#outlasts,
      buffer: this.#buffer,
      timeouts: before.timeouts - Number(timedOut && !before.outlasts),
      outcome: this.#outcome,
      looks: [...(this.#changed ? [] : before.looks), `${before.pending} ${fresh.join()}`],
    }
    return {
      memory: this.#memory,
      threads: state.threads.map((each, i) => {
        if (i === me) return mine
        const looks = this.#changed ? [] : each.looks
        return this.#woken.includes(i)
          ? { ...each, looks, status: 'woken', sleepsAt: -1, outlasts: undefined }
          : { ...each, looks }
      }),
      sleepers: this.#sleepers,
      dead: state.dead,
      last: this.#setup.preemptions === undefined ? -1 : me,
      preemptions: state.preemptions + Number(this.#preempts(state, me)),
      trace,
      paths: state.paths,
    }
  }

  /** Lets the oldest store in a thread's buffer land. */
  #land(state: State, from: number): State {
    const { buffer } = state.threads[from] as ThreadState
    const [index, value] = buffer[0] as Store
    const memory = state.memory.slice()
    memory[this.#cell(index)] = value
    const threads = state.threads.map((each, i) => ({
      ...each,
      ...(i === from && { buffer: buffer.slice(1) }),
      looks: [],
      outlasts: each.outlasts?.map((stores, of) =>
        of === from ? Math.max(0, stores - 1) : stores,
      ),
    }))
    const trace = { before: state.trace, text: `${from}: its store ${index}, ${value} lands` }
    return { ...state, memory, threads, trace }
  }

  /** Whether a step of this thread preempts another one that could continue. */
  #preempts(state: State, me: number): boolean {
    if (this.#setup.preemptions === undefined || state.last === me) return false
    return this.#possible(state).some(([thread, move]) => thread === state.last && move === 'step')
  }

  /**
   * Runs the current thread until it reaches an operation that it may not do. Returns whether it has ended.
   */
  #perform(onlyBegin: boolean, trace: Trace): boolean {
    try {
      const context = this.#setup.begin(this.#me)
      if (onlyBegin) this.#operationsLeft = 0
      this.#setup.threads[this.#me]?.(context, this.world, this.#me)
      return true
    } catch (error) {
      if (this.#suspended) return false
      throw tracedTo(trace, error)
    }
  }

  /** Performs one operation: replays its old result, gets a new one by `act`, or ends this run. */
  #operation(text: string, act: () => Answer): Answer {
    if (this.#suspended) throw SUSPEND
    if (this.#answered < this.#answers.length) return this.#answers[this.#answered++] as Answer
    if (this.#operationsLeft === 0) {
      this.#pending = text
      this.#suspended = true
      throw SUSPEND
    }
    this.#operationsLeft--
    return this.#answer(act())
  }

  /** Performs an operation on a word; on a private word, together with the operation before it. */
  #access(index: number, text: string, act: () => Answer): Answer {
    if (!this.#setup.isPrivate?.(index)) return this.#operation(text, act)
    if (this.#suspended) throw SUSPEND
    if (this.#answered < this.#answers.length) return this.#answers[this.#answered++] as Answer
    return this.#answer(act())
  }

  /** Performs an access without `Atomics`. */
  #plain(index: number, value?: number): number {
    if (this.#suspended) throw SUSPEND
    if (this.#answered < this.#answers.length) return this.#answers[this.#answered++] as number
    if (value !== undefined) {
      if (this.#setup.isBuffered?.(index)) this.#buffer.push([index, value])
      else this.#write(this.#cell(index), value)
    }
    return this.#answer(this.#read(index)) as number
  }

  /**
   * The value of a word as the thread sees it: its own last store that has not landed, or the one in memory.
   */
  #read(index: number): number {
    const own = this.#buffer.findLast(([at]) => at === index)
    return own ? own[1] : (this.#memory[this.#cell(index)] as number)
  }

  #answer(answer: Answer): Answer {
    this.#answers.push(answer)
    this.#answered++
    return answer
  }

  #write(cell: number, value: number): number {
    const before = this.#memory[cell] as number
    this.#memory[cell] = value
    if (this.#memory[cell] !== before) this.#changed = true
    return before
  }

  #cell(index: number): number {
    const known = this.#cells.get(index)
    if (known !== undefined) return known
    const cell = this.#cells.size
    if (cell === CELLS) throw new Error('the model has too few cells')
    this.#cells.set(index, cell)
    return cell
  }

  #array(offset: number): Int32Array {
    return new Proxy({} as Int32Array, {
      get: (_, index) => this.#plain(offset + Number(index)),
      set: (_, index, value) => {
        this.#plain(offset + Number(index), value)
        return true
      },
    })
  }

  /** The operations that the explored threads use. */
  readonly world: World = {
    inside: (locks) => {
      for (const lock of locks) this.#enter(lock, this.#plain(indexOf(lock)))
      this.#operation('is at work', () => 0)
      for (const lock of locks) this.#plain(indexOf(lock), 0)
    },
    looks: (locks) => {
      for (const lock of locks) {
        const others = this.#plain(indexOf(lock))
        if (others < LEAST_READER) this.#refuseOther(lock, others)
        this.#plain(indexOf(lock), others | (LEAST_READER << this.#me))
      }
      this.#operation('looks', () => 0)
      for (const lock of locks) {
        this.#plain(indexOf(lock), this.#plain(indexOf(lock)) & ~(LEAST_READER << this.#me))
      }
    },
    repairs: (locks) => {
      for (const lock of locks) {
        const other = this.#plain(indexOf(lock))
        this.#enter(lock, other !== 0 && this.hasDied(other - 1) ? 0 : other)
      }
      this.#operation('repairs', () => 0)
      for (const lock of locks) this.#plain(indexOf(lock), 0)
    },
    note: (index, value) => void this.#plain(indexOf(1000 + index), value),
    noted: (index) => this.#plain(indexOf(1000 + index)),
    awaitNote: (index) => void this.#operation(`${AWAITS_NOTE}${index}`, () => 0),
    awaitDeath: (count) =>
      this.#operation(
        `${AWAITS_DEATH}${count}`,
        () => this.#state?.dead[count - 1] ?? -1,
      ) as number,
    outcome: (text) => {
      this.#outcome = text
    },
    fault: (text) => {
      throw new Fault(text)
    },
  }

  #enter(lock: number, others: number): void {
    this.#refuseOther(lock, this.#alive(others))
    this.#plain(indexOf(lock), this.#me + 1)
  }

  #refuseOther(lock: number, others: number): void {
    if (others === 0) return
    const other = others < LEAST_READER ? others - 1 : `the readers ${others / LEAST_READER}`
    throw new Fault(`${other} and ${this.#me} are both behind lock ${lock}`)
  }

  /** Removes the dead readers from those noted behind a lock. */
  #alive(others: number): number {
    let alive = others
    for (let reader = 0; LEAST_READER << reader <= others; reader++) {
      const bit = LEAST_READER << reader
      if ((others & bit) !== 0 && this.hasDied(reader)) alive &= ~bit
    }
    return alive
  }

  /** The model of `Atomics`. */
  #atomics(): object {
    const update =
      (name: string, change: (before: number, value: number) => number) =>
      (_: unknown, index: number, value: number): Answer =>
        this.#access(index, `${name} ${index}, ${value}`, () => {
          const cell = this.#cell(index)
          return this.#write(cell, change(this.#memory[cell] as number, value))
        })
    return {
      and: update('and', (before, value) => before & value),
      or: update('or', (before, value) => before | value),
      add: update('add', (before, value) => before + value),
      exchange: update('exchange', (_, value) => value),
      store: update('store', (_, value) => value),
      load: (_: unknown, index: number) =>
        this.#access(index, `load ${index}`, () => this.#read(index)),
      compareExchange: (_: unknown, index: number, expected: number, value: number) =>
        this.#operation(`compareExchange ${index}, ${expected} -> ${value}`, () => {
          const cell = this.#cell(index)
          const before = this.#memory[cell] as number
          if (before === expected) this.#write(cell, value)
          return before
        }),
      notify: (_: unknown, index: number, most = Number.POSITIVE_INFINITY) =>
        this.#operation(`notify ${index}, ${most}`, () => this.#notify(index, most)),
      wait: (_: unknown, index: number, expected: number, ms: number) =>
        this.#wait(index, expected, ms),
    }
  }

  #notify(index: number, most: number): number {
    const woken = this.#sleepers
      .filter((thread) => this.#state?.threads[thread]?.sleepsAt === index)
      .slice(0, most)
    this.#woken.push(...woken)
    this.#sleepers = this.#sleepers.filter((thread) => !woken.includes(thread))
    if (woken.length > 0) this.#changed = true
    return woken.length
  }

  /** Falling asleep is one operation, waking up is another. */
  #wait(index: number, expected: number, ms: number): Answer {
    const fell = this.#operation(
      `wait ${index}, ${expected}${ms < LONG_SLEEP_MS ? ' briefly' : ''}`,
      () => {
        if (this.#memory[this.#cell(index)] !== expected) return 'not-equal'
        const isShort = ms < LONG_SLEEP_MS
        if (ms < SHORT_SLEEP_MS || (isShort && !this.#setup.isBuffered)) return 'timed-out'
        this.#sleepers.push(this.#me)
        this.#sleepsAt = index
        if (isShort) this.#outlasts = this.#state?.threads.map(({ buffer }) => buffer.length)
        return 'asleep'
      },
    )
    if (fell !== 'asleep') return fell
    return this.#operation(`awakes at ${index}`, () => {
      this.#sleepers = this.#sleepers.filter((thread) => thread !== this.#me)
      return this.#timedOut ? 'timed-out' : 'ok'
    })
  }
}

function die(state: State, thread: number): State {
  return {
    ...state,
    threads: state.threads.map((each, i) => ({
      ...each,
      looks: [],
      ...(i === thread ? { status: 'dead', sleepsAt: -1 } : {}),
    })),
    sleepers: state.sleepers.filter((sleeper) => sleeper !== thread),
    dead: [...state.dead, thread],
    trace: { before: state.trace, text: `${thread}: dies` },
  }
}

/** The index at which the model keeps values that no typed array has. */
function indexOf(number: number): number {
  return -1 - number
}

/** Whether the last reads repeat the same sequence again and again. */
function goesRound(looks: readonly string[]): boolean {
  for (let period = 1; ROUNDS * period <= looks.length; period++) {
    const tail = looks.slice(-ROUNDS * period)
    if (tail.every((look, i) => look === tail[i % period])) return true
  }
  return false
}

function tracedTo(trace: Trace | undefined, error: unknown): Fault {
  const fault = error instanceof Fault ? error : new Fault(String(error))
  fault.trace ??= trace
  return fault
}

function pathOf(trace: Trace | undefined): string[] {
  const path: string[] = []
  for (let step = trace; step; step = step.before) path.unshift(step.text)
  return path
}

/** Combines two hashes of 32 and 21 bits in one number. */
function mix(hash: number, answer: Answer): number {
  let high = Math.floor(hash / 2 ** 21) | 0
  let low = hash % 2 ** 21
  const add = (value: number): void => {
    high = Math.imul(high ^ value, 0x01000193) ^ (high >>> 15)
    low = (Math.imul(low + value, 0x9e3779b1) ^ (low >>> 7)) & 0x1fffff
  }
  if (typeof answer === 'number') add(answer)
  else for (let i = 0; i < answer.length; i++) add(answer.charCodeAt(i))
  add(0x5bd1)
  return (high >>> 0) * 2 ** 21 + low
}

function keyOf({ memory, threads, sleepers, dead, last, preemptions }: State): string {
  const parts = threads.map(
    ({ hash, status, timeouts, answers, buffer, outlasts = [] }) =>
      `${hash}.${answers.length}${status}${timeouts}${buffer.join(';')}/${outlasts.join()}`,
  )
  let cells = 1
  for (let i = 0; i < memory.length; i++) {
    if (memory[i] !== 0) cells = mix(mix(cells, i), memory[i] as number)
  }
  return `${cells} ${parts.join(' ')} ${sleepers.join()} ${dead.join()} ${last} ${preemptions}`
}
