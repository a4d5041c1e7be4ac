/** The situations to explore: threads on one small table, and what must hold in the end. */

import assert from 'node:assert/strict'
import type { SharedLocks } from '../../src/backends/threads/index.ts'
import { HEADER_BYTES, OWNER_BYTES } from '../../src/backends/threads/layout.ts'
import {
  type Change,
  type Code,
  NO_SHORT_SLEEP,
  UNLOCKED_BY_PLAIN_STORES,
  UNLOCKED_BY_STORES,
} from './code.ts'
import { Explorer, type Setup, type World } from './explorer.ts'

/** Small records, each with a lock of its own. */
const RECORD_BYTES = 16

type Thread = Setup<SharedLocks>['threads'][number]

/** One situation. */
export interface Situation {
  readonly name: string
  /** The property that it shows. */
  readonly shows: string
  /** Set if it takes longer than a test should: only `npm run explore` runs it. */
  readonly long?: true
  /** The changes of the code for this situation. */
  readonly changes: readonly Change[]
  /** The maximum number of preemptions to explore; undefined: all of them. */
  readonly preemptions?: number | undefined
  explorer(code: Code): Explorer<SharedLocks>
}

interface Options {
  readonly changes?: readonly Change[]
  readonly order?: 'ascending' | 'free'
  readonly count?: number
  readonly repairs?: boolean
  /** On an x86: a pair is unlocked by plain stores, which wait in store buffers. */
  readonly x86?: boolean
  /** The locks that each thread holds at the beginning, exclusive and shared. */
  readonly holding?: (me: number) => readonly number[]
  readonly reading?: (me: number) => readonly number[]
}

function situation(
  name: string,
  shows: string,
  threads: readonly Thread[],
  {
    changes = [],
    order = 'ascending',
    count = 2,
    repairs = false,
    x86 = false,
    holding,
    reading,
    ...setup
  }: Options & Partial<Setup<SharedLocks>>,
  long?: true,
): Situation {
  return {
    name,
    shows,
    ...(long && { long }),
    changes: x86 ? [...UNLOCKED_BY_PLAIN_STORES, ...changes] : changes,
    preemptions: setup.preemptions,
    explorer(code) {
      const owners = threads.length + 1
      const locksBase = HEADER_BYTES + owners * OWNER_BYTES
      const explorer: Explorer<SharedLocks> = new Explorer<SharedLocks>({
        threads: setup.mortal ? [...threads, clearsUp(code, setup.deaths ?? 1)] : threads,
        ...setup,
        // Without deadlocks and deaths to detect, no thread reads the slot of another.
        ...(order === 'ascending' &&
          !setup.mortal &&
          !setup.timeouts && {
            isPrivate: (index: number) => index * 4 >= HEADER_BYTES && index * 4 < locksBase,
          }),
        // Only the thread itself reads its list, so its stores there need no buffer.
        ...(x86 && {
          isBuffered: (index: number) =>
            index * 4 >= locksBase &&
            index * 4 < locksBase + count * RECORD_BYTES &&
            (index * 4 - locksBase) % RECORD_BYTES === 0,
        }),
        begin(me) {
          const locks = code.open(explorer as Explorer<unknown>, {
            order,
            count,
            owners,
            label: String(me),
            ...(repairs && { onOwnerDied: ({ locks }) => explorer.world.repairs(locks) }),
          })
          for (const lock of holding?.(me) ?? []) locks.lock(lock)
          for (const lock of reading?.(me) ?? []) locks.lockShared(lock)
          return locks
        },
      })
      return explorer
    },
  }
}

/** Takes two locks in one request, works behind them, unlocks them. */
const pair =
  (a: number, b: number): Thread =>
  (locks, world) => {
    if (!taken(world, () => locks.lockPair(a, b))) return
    world.inside([a, b])
    locks.unlockPair(a, b)
    world.outcome('done')
  }

/** The same with one lock. */
const one =
  (a: number): Thread =>
  (locks, world) => {
    if (!taken(world, () => locks.lock(a))) return
    world.inside([a])
    locks.unlock(a)
    world.outcome('done')
  }

/** Takes one lock shared, and reads what it guards. */
const reads =
  (a: number): Thread =>
  (locks, world) => {
    if (!taken(world, () => locks.lockShared(a))) return
    world.looks([a])
    locks.unlockShared(a)
    world.outcome('done')
  }

/** Reads what a lock guards that the thread holds shared, and unlocks it. */
const leaves =
  (a: number): Thread =>
  (locks, world) => {
    world.looks([a])
    locks.unlockShared(a)
    world.outcome('done')
  }

/** Works behind a lock that the thread holds, and unlocks it. */
const unlocks =
  (a: number): Thread =>
  (locks, world) => {
    world.inside([a])
    locks.unlock(a)
    world.outcome('done')
  }

/** Holds one lock shared and requests another exclusively. */
const readsAndTakes =
  (first: number, second: number): Thread =>
  (locks, world, me) => {
    locks.lockShared(first)
    world.note(me, 1 + first)
    if (
      taken(
        world,
        () => locks.lock(second),
        () => mustBeBlocked(world, me, second),
      )
    ) {
      world.note(me, 0)
      world.inside([second])
      locks.unlock(second)
      world.outcome('done')
    }
    world.note(me, 0)
    locks.unlockShared(first)
  }

/** Takes one lock, then another inside; gives up if it is a deadlock's victim. */
const nested =
  (first: number, second: number): Thread =>
  (locks, world, me) => {
    locks.lock(first)
    world.note(me, 1 + first)
    if (
      taken(
        world,
        () => locks.lock(second),
        () => mustBeBlocked(world, me, second),
      )
    ) {
      world.note(me, 0)
      world.inside([first, second])
      locks.unlock(second)
      world.outcome('done')
    }
    world.note(me, 0)
    locks.unlock(first)
  }

/** Takes one lock and unlocks it, then another. */
const inSequence =
  (first: number, second: number): Thread =>
  (locks, world, me) => {
    one(first)(locks, world, me)
    one(second)(locks, world, me)
  }

/** Works behind a pair of locks that the thread holds, and unlocks them. */
const unlocksPair =
  (a: number, b: number): Thread =>
  (locks, world) => {
    world.inside([a, b])
    locks.unlockPair(a, b)
    world.outcome('done')
  }

/** Wakes a thread that sleeps on a lock, at any moment and without reason. It assumes three threads. */
const wakesSpuriously =
  (a: number): Thread =>
  (_, world) => {
    const address = HEADER_BYTES + 4 * OWNER_BYTES + a * RECORD_BYTES
    Atomics.notify(new Int32Array(), address >> 2, 1)
    world.outcome('done')
  }

/** Runs one program after the other. */
const andThen =
  (first: Thread, second: Thread): Thread =>
  (locks, world, me) => {
    first(locks, world, me)
    second(locks, world, me)
  }

/** Whether a request was granted; if not, the outcome says why. */
function taken(world: World, request: () => void, whenDeadlocked: () => void = () => {}): boolean {
  try {
    request()
    return true
  } catch (error) {
    const { code } = error as { code?: string }
    if (code === 'LOCK_DEADLOCK') whenDeadlocked()
    if (code !== 'LOCK_DEADLOCK' && code !== 'LOCK_OWNER_DIED') throw error
    world.outcome(code === 'LOCK_DEADLOCK' ? 'victim' : 'abandoned')
    return false
  }
}

/** Checks that another thread holds the victim's lock and has a nested request: {@link nested} notes it. */
function mustBeBlocked(world: World, me: number, lock: number): void {
  for (let other = 0; other < 3; other++) {
    if (other !== me && world.noted(other) === 1 + lock) return
  }
  world.fault(`${me} gets a deadlock error, but no thread holds lock ${lock} and requests more`)
}

/** The note that says: the parent has cleaned up, or no thread has died. */
const CLEARED_UP = 5

/** The program of the parent of the threads that die. */
const clearsUp =
  (code: Code, deaths: number): Thread =>
  (locks, world) => {
    for (let count = 1; count <= deaths; count++) code.clearUp(locks, world.awaitDeath(count))
    world.note(CLEARED_UP, 1)
  }

function allDone(outcomes: readonly string[]): void {
  assert.ok(
    outcomes.every((outcome) => outcome === 'done'),
    `outcomes: ${outcomes.join()}`,
  )
}

function oneVictimAtMost(outcomes: readonly string[]): void {
  const victims = outcomes.filter((outcome) => outcome === 'victim').length
  assert.ok(victims <= 1, `${victims} victims`)
  assert.equal(outcomes.filter((outcome) => outcome === 'done').length, outcomes.length - victims)
}

/** The properties that several situations show. */
const EXCLUSION = 'exclusion, no lost wake-up, no deadlock'
const WAKE_UPS = 'no lost wake-up where unlocking stores wait in store buffers'
const READING = 'no thread reads while one writes, no lost wake-up'

export const situations: readonly Situation[] = [
  situation('two threads, a pair each', EXCLUSION, [pair(0, 1), pair(1, 0)], {
    end: allDone,
  }),
  situation(
    'two threads, a pair each, unlocked by stores',
    `${EXCLUSION}, by the algorithm of kernel.wat`,
    [pair(0, 1), pair(1, 0)],
    { changes: UNLOCKED_BY_STORES, end: allDone },
  ),
  situation(
    'three threads, a pair and its locks, unlocked by stores',
    EXCLUSION,
    [pair(0, 1), one(0), one(1)],
    { preemptions: 3, changes: UNLOCKED_BY_STORES, end: allDone },
    true,
  ),
  situation(
    'three threads, one lock',
    EXCLUSION,
    [one(0), one(0), one(0)],
    { preemptions: 3, end: allDone },
    true,
  ),
  situation(
    'three threads, one pair',
    EXCLUSION,
    [pair(0, 1), pair(1, 0), pair(0, 1)],
    { preemptions: 3, end: allDone },
    true,
  ),
  situation('x86: a pair and one of its locks', WAKE_UPS, [pair(0, 1), one(0)], {
    x86: true,
    end: allDone,
  }),
  situation('x86: two threads, a pair each', WAKE_UPS, [pair(0, 1), pair(1, 0)], {
    x86: true,
    end: allDone,
  }),
  situation(
    'x86: a pair twice and one of its locks',
    WAKE_UPS,
    [andThen(pair(0, 1), pair(0, 1)), one(0)],
    { x86: true, end: allDone },
    true,
  ),
  situation(
    'x86: a pair and its locks',
    WAKE_UPS,
    [pair(0, 1), one(0), one(1)],
    { preemptions: 2, x86: true, end: allDone },
    true,
  ),
  situation('x86: a pair and a reader', WAKE_UPS, [pair(0, 1), reads(0)], {
    x86: true,
    end: allDone,
  }),
  situation(
    'x86: a pair, one of its locks, and a spurious wake-up',
    WAKE_UPS,
    [pair(0, 1), one(0), wakesSpuriously(0)],
    { x86: true, end: allDone },
  ),
  situation(
    'x86: a pair is unlocked and taken again while two of one lock come',
    `${WAKE_UPS}, also if one thread relies on the announcement of the other`,
    [andThen(unlocksPair(0, 1), pair(0, 1)), one(0), one(0)],
    { preemptions: 1, x86: true, holding: (me) => (me === 0 ? [0, 1] : []), end: allDone },
    true,
  ),
  situation(
    'x86: a pair is unlocked while a reader and a writer come',
    WAKE_UPS,
    [unlocksPair(0, 1), reads(0), one(0)],
    { preemptions: 2, x86: true, holding: (me) => (me === 0 ? [0, 1] : []), end: allDone },
    true,
  ),
  situation(
    'two threads, nested in both orders',
    'every deadlock found, one victim, none false; a sleep of each ends by time',
    [nested(0, 1), nested(1, 0)],
    { preemptions: 2, order: 'free', timeouts: 1, end: oneVictimAtMost },
  ),
  situation(
    'a nested request beside requests in sequence',
    'no deadlock where there is none',
    [nested(0, 1), inSequence(1, 0)],
    {
      preemptions: 3,
      order: 'free',
      end: (outcomes) => assert.ok(!outcomes.includes('victim'), 'a false deadlock'),
    },
  ),
  situation(
    'a ring of three',
    'every deadlock found, one victim',
    [nested(0, 1), nested(1, 2), nested(2, 0)],
    { preemptions: 1, order: 'free', count: 3, end: oneVictimAtMost },
  ),
  situation(
    'a ring that opens and closes again',
    'no deadlock where one nearly arose',
    [
      (locks, world) => {
        world.note(0, 1 + 0)
        const request = (): void => locks.lock(1)
        if (taken(world, request, () => mustBeBlocked(world, 0, 1))) locks.unlock(1)
        world.note(0, 0)
        locks.unlock(0)
      },
      (locks, world) => {
        world.note(1, 1 + 1)
        if (taken(world, () => locks.lock(2))) locks.unlock(2)
        world.note(1, 0)
        // The ring is open now, and closes again behind this thread.
        world.note(3, 1)
        world.awaitNote(4)
        locks.unlock(1)
        one(2)(locks, world, 1)
      },
      (locks, world) => {
        locks.unlock(2)
        world.awaitNote(3)
        world.note(4, 1)
        nested(2, 0)(locks, world, 2)
      },
    ],
    {
      preemptions: 2,
      changes: NO_SHORT_SLEEP,
      order: 'free',
      count: 3,
      holding: (me) => [me],
    },
    true,
  ),
  situation(
    'two threads, a pair each, one dies',
    'the other is done or gets an error, and never hangs',
    [pair(0, 1), pair(1, 0)],
    { preemptions: 1, mortal: [0] },
  ),
  situation(
    'a holder and a waiter that dies, one lock',
    'the lock is free or abandoned, and its next taker gets it or an error',
    [
      unlocks(0),
      (locks, world, me) => {
        one(0)(locks, world, me)
        world.note(CLEARED_UP, 1)
      },
      (locks, world, me) => {
        // The slot of the dead thread is free now, even if the sweep did not find what it held.
        world.awaitNote(CLEARED_UP)
        one(0)(locks, world, me)
      },
    ],
    {
      preemptions: 2,
      mortal: [1],
      holding: (me) => (me === 0 ? [0] : []),
    },
  ),
  situation(
    'three threads, one lock, one dies',
    'the dead thread takes no wake-up with it',
    [one(0), one(0), one(0)],
    { preemptions: 1, mortal: [1] },
    true,
  ),
  situation(
    'three threads, one lock, one dies, two may repair',
    'only one of them does',
    [one(0), one(0), one(0)],
    {
      preemptions: 1,
      changes: NO_SHORT_SLEEP,
      mortal: [0],
      repairs: true,
      end: (outcomes) => assert.deepEqual(outcomes.slice(1, 3), ['done', 'done']),
    },
    true,
  ),
  situation(
    'two threads, a pair each, one dies, the other repairs',
    'what is left is repaired, and done',
    [pair(0, 1), pair(1, 0)],
    {
      preemptions: 1,
      mortal: [0],
      repairs: true,
      end: (outcomes) => assert.equal(outcomes[1], 'done'),
    },
  ),
  situation(
    'three threads, one lock, two die, the third repairs',
    'the recovering owner may die too',
    [one(0), one(0), one(0)],
    {
      preemptions: 1,
      changes: NO_SHORT_SLEEP,
      mortal: [0, 1],
      deaths: 2,
      repairs: true,
      end: (outcomes) => assert.equal(outcomes[2], 'done'),
    },
    true,
  ),
  situation('a reader and a writer, one lock', READING, [reads(0), one(0)], { end: allDone }),
  situation(
    'a reader leaves while a reader and a writer come, one lock',
    READING,
    [leaves(0), reads(0), one(0)],
    { preemptions: 3, reading: (me) => (me === 0 ? [0] : []), end: allDone },
    true,
  ),
  situation(
    'a writer leaves while two readers come, one lock',
    READING,
    [unlocks(0), reads(0), reads(0)],
    { preemptions: 2, holding: (me) => (me === 0 ? [0] : []), end: allDone },
  ),
  situation(
    'a writer leaves while a reader and a writer come, one lock',
    READING,
    [unlocks(0), reads(0), one(0)],
    { preemptions: 2, holding: (me) => (me === 0 ? [0] : []), end: allDone },
    true,
  ),
  situation(
    'a reader leaves while two writers come, one lock',
    READING,
    [leaves(0), one(0), one(0)],
    { preemptions: 2, reading: (me) => (me === 0 ? [0] : []), end: allDone },
  ),
  situation(
    'two readers of one lock each that want the other exclusively',
    'every deadlock through readers found, one victim',
    [readsAndTakes(0, 1), readsAndTakes(1, 0)],
    { preemptions: 3, order: 'free', end: oneVictimAtMost },
  ),
  situation(
    'a holder that turns reader, a reader and a writer',
    'no deadlock where there is none',
    [
      (locks, world, me) => {
        locks.unlock(0)
        reads(0)(locks, world, me)
      },
      reads(0),
      one(0),
    ],
    { preemptions: 2, order: 'free', holding: (me) => (me === 0 ? [0] : []), end: allDone },
    true,
  ),
  situation(
    'a reader and a writer, one lock, the reader dies',
    'the writer is not kept waiting',
    [reads(0), one(0)],
    { mortal: [0], end: (outcomes) => assert.equal(outcomes[1], 'done') },
  ),
  situation(
    'a reader and a writer, one lock, the writer dies',
    'the reader is done or gets an error',
    [reads(0), one(0)],
    { preemptions: 2, mortal: [1] },
  ),
  situation(
    'a reader leaves while a reader and a writer come, one lock, it dies',
    'the others are done',
    [leaves(0), reads(0), one(0)],
    {
      preemptions: 2,
      reading: (me) => (me === 0 ? [0] : []),
      mortal: [0],
      end: (outcomes) => assert.deepEqual(outcomes.slice(1, 3), ['done', 'done']),
    },
    true,
  ),
]

/** The situation with this name. */
export function situationNamed(name: string): Situation {
  const found = situations.find((each) => each.name === name)
  if (!found) throw new Error(`no situation is called ${name}`)
  return found
}
