/** One thread of storm.ts, and the groups of each round, which all threads compute from the same seed. */

import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import {
  DeadlockError,
  SharedLocks,
  type SharedLocksHandle,
} from '../../src/backends/threads/index.ts'
import { meeting, rounds, settle, until } from '../waiting.ts'

/**
 * The start data of a thread. `flags` holds two words for each group: the parties that hold, and the victims.
 */
export interface StormData {
  readonly handle: SharedLocksHandle
  readonly flags: Int32Array
  readonly thread: number
  readonly threads: number
  readonly groups: number
  readonly seed: number
}

/** How a party waits for the next lock. The first six kinds wait, the last two do not. */
const KINDS = [
  'awaits',
  'returns',
  'helper',
  'deep',
  'all',
  'catches',
  'leaves',
  'leaves deep',
] as const
type Kind = (typeof KINDS)[number]

/** A party that holds a lock and requests the next party's. */
interface Party {
  readonly kind: Kind | 'blocks'
  readonly thread: number
}

/** Parties that request each other's locks in a ring. */
export interface Group {
  readonly number: number
  readonly parties: readonly Party[]
}

/** Three parties, and for each of them a lock for deeper nesting. */
export const LOCKS_PER_GROUP = 6

/** Whether every party of a group waits. */
export function isDeadlock({ parties }: Group): boolean {
  return parties.every(({ kind }) => kind !== 'leaves' && kind !== 'leaves deep')
}

/** The groups of a round. In every second round, one party blocks its thread. */
export function groupsOf(seed: number, round: number, groups: number, threads: number): Group[] {
  let state = (Math.imul(seed, 2_654_435_761) ^ Math.imul(round + 1, 40_503)) >>> 0
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
  return Array.from({ length: groups }, (_, number) => {
    const parties: Party[] = Array.from({ length: 2 + below(2) }, () => ({
      kind: pick(below(4), below(KINDS.length)),
      thread: below(threads),
    }))
    if (number > 0 || round % 2 > 0) return { number, parties }
    // The first party blocks its thread, so no other party of the group may run there.
    const others = parties.slice(1).map(({ kind, thread }) => {
      return { kind, thread: 1 + (thread % (threads - 1)) }
    })
    return { number, parties: [{ kind: 'blocks', thread: 0 }, ...others] }
  })
}

/** Picks a kind; most parties await. */
function pick(luck: number, kind: number): Kind {
  return luck === 0 ? (KINDS[kind] as Kind) : (KINDS[kind % 6] as Kind)
}

class StormThread {
  readonly #locks: SharedLocks
  readonly #data: StormData

  constructor(data: StormData) {
    this.#data = data
    this.#locks = SharedLocks.open(data.handle, { label: `thread ${data.thread}` })
  }

  async round(round: number): Promise<void> {
    const { seed, groups, threads, thread } = this.#data
    const parties: ((held: () => void) => Promise<void>)[] = []
    let blocks: (() => void) | undefined
    for (const group of groupsOf(seed, round, groups, threads)) {
      for (const [i, { kind, thread: at }] of group.parties.entries()) {
        if (at !== thread) continue
        if (kind === 'blocks') blocks = () => this.#block(group, i)
        else parties.push((held) => this.#party(group, i, kind, held))
      }
    }
    const meet = meeting(parties.length + 1)
    const own = parties.map((party) => party(() => void meet()))
    // All other parties of this thread hold their locks before it blocks.
    await meet()
    blocks?.()
    await Promise.all(own)
  }

  /** Runs a party that blocks its thread. */
  #block(group: Group, i: number): void {
    const { flags } = this.#data
    this.#locks.hold([this.#lockOf(group, i)], () => {
      Atomics.add(flags, 2 * group.number, 1)
      Atomics.notify(flags, 2 * group.number)
      for (;;) {
        const held = Atomics.load(flags, 2 * group.number)
        if (held === group.parties.length) break
        Atomics.wait(flags, 2 * group.number, held, 100)
      }
      try {
        this.#locks.hold([this.#lockOf(group, i + 1)], () => {})
      } catch (error) {
        this.#count(group, error)
      }
    })
  }

  async #party(group: Group, i: number, kind: Kind, held: () => void): Promise<void> {
    const locks = this.#locks
    let left: Promise<void> | undefined
    const ask = (): Promise<void> => locks.holdAsync([this.#lockOf(group, i + 1)], () => {})
    const askDeep = (): Promise<void> =>
      locks.holdAsync([group.number * LOCKS_PER_GROUP + 3 + i], async () => await ask())
    const counted = (error: unknown): void => this.#count(group, error)
    try {
      await locks.holdAsync([this.#lockOf(group, i)], async () => {
        held()
        await this.#allHold(group)
        if (kind === 'awaits') await ask()
        else if (kind === 'returns') return ask()
        else if (kind === 'helper') await (async () => await ask())()
        else if (kind === 'deep') await askDeep()
        else if (kind === 'all') await Promise.all([ask(), settle()])
        else if (kind === 'catches') await ask().catch(counted)
        else {
          left = (kind === 'leaves' ? ask() : askDeep()).catch(counted)
          // Meanwhile deadlock searches find this holder busy, not waiting.
          await rounds()
        }
      })
    } catch (error) {
      counted(error)
    }
    await left
  }

  /** Waits until every party of a group holds its lock. */
  async #allHold(group: Group): Promise<void> {
    const { flags } = this.#data
    const at = 2 * group.number
    Atomics.add(flags, at, 1)
    Atomics.notify(flags, at)
    await until(() => Atomics.load(flags, at) >= group.parties.length)
  }

  #count(group: Group, error: unknown): void {
    if (!(error instanceof DeadlockError)) throw error
    Atomics.add(this.#data.flags, 2 * group.number + 1, 1)
  }

  #lockOf({ number, parties }: Group, i: number): number {
    return number * LOCKS_PER_GROUP + (i % parties.length)
  }
}

if (!isMainThread && workerData?.groups) {
  const thread = new StormThread(workerData as StormData)
  parentPort?.on('message', async (round: number) => {
    await thread.round(round)
    parentPort?.postMessage(round)
  })
  parentPort?.postMessage('ready')
}
