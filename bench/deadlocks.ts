/** How soon is a deadlock found, is any missed or invented, and how much does the detection cost? */

import { extname } from 'node:path'
import { SharedLocks } from '../src/backends/threads/index.ts'
import { divided, some } from './cells.ts'
import type { RingData, RingEnd } from './deadlocks-thread.ts'
import { grouped, median, quantile, type Setting, table } from './question.ts'
import { inThread } from './threads.ts'

const RINGS: readonly number[] = [2, 3, 5]
const DEADLOCKS = 10_000
const NESTED = 2_000_000
const TRANSFERS = 1_000_000_000
const TRANSFERRING = { threads: 5, accounts: 16 }
const PAIRS = 10_000_000

export async function deadlocks({ size, tick }: Setting): Promise<string> {
  const rows: string[][] = []
  for (const members of some(RINGS, size)) {
    const rounds = divided(DEADLOCKS, size)
    const { found, victims, micros } = await runRings(members, rounds)
    tick()
    rows.push([
      String(members),
      grouped(rounds),
      grouped(found),
      victims,
      median(micros).toFixed(0),
      quantile(micros, 0.99).toFixed(0),
      grouped(await runNested(members, divided(NESTED, size))),
    ])
    tick()
  }
  const head = [
    'threads',
    'deadlocks made',
    'found',
    'victims in each',
    'median, µs',
    '99th percentile, µs',
    `invented in ${grouped(divided(NESTED, size))} ordered requests`,
  ]
  return [
    '## Deadlocks',
    table(head, rows),
    'Each thread takes a lock, all meet, each asks for its neighbour’s. The time runs from the moment ' +
      'the last of them asks to the moment `DeadlockError` is caught. Then the same threads nest ' +
      'two random locks in ascending order, in a table that allows any order.',
    `In ${grouped(divided(TRANSFERS, size))} transfers of ${TRANSFERRING.threads} threads between ` +
      `${TRANSFERRING.accounts} accounts, each in one request, in a table that allows any order: ` +
      `${await runTransfers(divided(TRANSFERS, size), tick)} deadlocks reported.`,
    `Locking and unlocking a free pair costs ${detectionCost(size)} times as much in a table that ` +
      "detects deadlocks (`order: 'free'`) as in one that cannot have any (`order: 'ascending'`): " +
      'the median of interleaved rounds.',
  ].join('\n\n')
}

/** Makes deadlocks of this many threads, one after the other. */
async function runRings(
  members: number,
  rounds: number,
): Promise<{ found: number; victims: string; micros: Float64Array }> {
  const ends = await runThreads(members, rounds, 'ring')
  const micros = new Float64Array(rounds)
  const victims = new Uint8Array(rounds)
  for (let round = 0; round < rounds; round++) {
    const asked = Math.max(...ends.map((end) => end.askedNs[round] as number))
    for (const { caughtNs } of ends) {
      if (caughtNs[round] === 0) continue
      victims[round] = (victims[round] as number) + 1
      micros[round] = ((caughtNs[round] as number) - asked) / 1000
    }
  }
  const least = Math.min(...victims)
  const most = Math.max(...victims)
  return {
    found: victims.filter((count) => count > 0).length,
    victims: least === most ? String(most) : `${least} to ${most}`,
    micros,
  }
}

/** Returns the number of deadlocks reported to threads that nest in ascending order. */
async function runNested(members: number, requests: number): Promise<number> {
  const ends = await runThreads(members, Math.ceil(requests / members), 'nested')
  return ends.reduce((sum, end) => sum + end.caughtNs.filter((ns) => ns !== 0).length, 0)
}

/** Returns whether deadlocks were reported to threads that take both locks of a transfer in one request. */
async function runTransfers(transfers: number, tick: () => void): Promise<string> {
  const { threads, accounts } = TRANSFERRING
  const ends = await runThreads(threads, Math.ceil(transfers / threads), 'transfers', accounts)
  tick()
  return ends.some((end) => end.caughtNs[0] !== 0) ? 'some' : 'no'
}

async function runThreads(
  members: number,
  rounds: number,
  what: RingData['what'],
  count = members,
): Promise<RingEnd[]> {
  const locks = SharedLocks.create({ count, order: 'free' })
  const meeting = new Int32Array(new SharedArrayBuffer(128))
  const file = new URL(`./deadlocks-thread${extname(import.meta.url)}`, import.meta.url)
  return Promise.all(
    Array.from({ length: members }, (_, member) => {
      const data: RingData = { handle: locks.handle, meeting, member, members, rounds, what }
      return inThread<RingData, RingEnd>(file, data)
    }),
  )
}

/** Returns the cost of detection for a free pair, as a ratio. */
function detectionCost(size: Setting['size']): string {
  const tables = [pairLoop('free'), pairLoop('ascending')] as const
  const pairs = divided(PAIRS, size)
  const ratios: number[] = []
  for (const loop of tables) loop(pairs)
  for (let round = 0; round < 2 * size.rounds + 1; round++) {
    const [free, ascending] = tables.map((loop) => loop(pairs)) as [number, number]
    ratios.push(free / ascending)
  }
  return median(ratios).toFixed(2)
}

/** Makes a loop over free pairs that returns its milliseconds: a separate function for each table. */
function pairLoop(order: 'free' | 'ascending'): (pairs: number) => number {
  const locks = SharedLocks.create({ count: 1024, order })
  return (pairs) => {
    const start = performance.now()
    for (let i = 0; i < pairs; i++) {
      const a = (i * 7) & 1023
      const b = (i * 13 + 5) & 1023
      locks.lockPair(a, b)
      locks.unlockPair(a, b)
    }
    return performance.now() - start
  }
}
