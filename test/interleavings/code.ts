/** Copies of the built lock code for the explorer. A copy can be broken on purpose. */

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type * as deaths from '../../src/backends/threads/deaths.ts'
import type { OpenOptions, SharedLocks } from '../../src/backends/threads/index.ts'
import type { Owner } from '../../src/backends/threads/owners.ts'
import type { Table } from '../../src/backends/threads/table.ts'
import type * as layout from '../../src/backends/threads/table-layout.ts'
import type { Explorer } from './explorer.ts'

/** A change of the code: in a file of src/backends/threads, `to` replaces `from`. */
export type Change = readonly [file: string, from: string, to: string]

/** The parts of the code that the explorer needs. */
export interface Code {
  /** Opens a table over the explorer's memory, as the thread that runs. */
  open(explorer: Explorer<unknown>, options: TableOptions & OpenOptions): SharedLocks
  /** Cleans up after a dead thread, as its parent does. */
  clearUp(locks: SharedLocks, thread: number): void
  /** Removes the copy. */
  remove(): void
}

/** The options of a small table. */
export interface TableOptions {
  readonly order: 'ascending' | 'free'
  readonly count: number
  readonly owners: number
}

/**
 * Left out of the exploration, in every copy: the number of spins, the thread to which Node reports the end
 * of a thread, and deaths where none are possible.
 */
const ALWAYS: readonly Change[] = [
  // No thread ends between the two (deaths.ts): a plain access is one step with the operation before it.
  [
    'atomics-kernel.js',
    `words[head] = words[(word + LINK_OFFSET) >> 2];
        return Atomics.exchange(words, word >> 2, 0) ^ me;`,
    `const link = words[(word + LINK_OFFSET) >> 2]
     const bits = Atomics.exchange(words, word >> 2, 0) ^ me
     words[head] = link
     return bits`,
  ],
  ['acquire.js', 'const SPINS = 40;', 'const SPINS = 1;'],
  ['table-lock.js', 'const SPINS = 1000;', 'const SPINS = 2;'],
  // The same check finds other ended threads. Only the death that was asked for is explored.
  ['deaths.js', 'endedTags(table).add(lifeline.tag)', 'new Set([lifeline.tag])'],
  // In each state, a thread of the explorer opens the table anew and can hold locks there.
  ['release.js', 'kernel.unlock2(0, 0);', ''],
  ['release.js', 'this.releasePairAfter(undefined, 0, 0);', ''],
  ['shared-locks.js', 'watch(table, owner);', 'this.model = { table, owner };'],
]

/**
 * Makes the first sleep long. A short one compensates for store buffers (acquire.ts). Where memory has none,
 * it only multiplies the states.
 */
export const NO_SHORT_SLEEP: readonly Change[] = [
  ['wait.js', 'const FIRST_SLEEP_MS = 1;', 'const FIRST_SLEEP_MS = 100;'],
]

/** `unlock2` of kernel.wat, which unlocks a pair by stores: the same algorithm in the `Atomics` kernel. */
export const UNLOCKED_BY_STORES: readonly Change[] = unlockedBy(
  'Atomics.store(words, high >> 2, 0); Atomics.store(words, low >> 2, 0)',
)

/** `unlock2TotalStoreOrder` of kernel.wat. On an x86, a plain load is like an atomic one. */
export const UNLOCKED_BY_PLAIN_STORES: readonly Change[] = unlockedBy(
  'words[high >> 2] = 0; words[low >> 2] = 0',
)

function unlockedBy(stores: string): readonly Change[] {
  return [
    ['atomics-kernel.js', 'const { me, ascending,', 'const { me, sleepCount, ascending,'],
    [
      'atomics-kernel.js',
      'return release(high) | (release(low) << 2);',
      `const sleeps = Atomics.load(words, sleepCount >> 2)
     if ((Atomics.load(words, low >> 2) | Atomics.load(words, high >> 2)) !== me) {
       return release(high) | (release(low) << 2)
     }
     words[head] = words[(low + LINK_OFFSET) >> 2]
     ${stores}
     return sleeps === Atomics.load(words, sleepCount >> 2) ? 0 : 15`,
    ],
  ]
}

/** The model of lifelines.ts: the explorer knows which threads have died. */
const LIFELINES = `
let explorer
export const explored = (by) => { explorer = by }
export const ownLifeline = () => ({ tag: explorer.me + 1, kind: -1, number: 0, made: 0 })
export const hasEnded = ({ tag }) => tag > 0 && explorer.hasDied(tag - 1)
export const hasEndedLately = hasEnded
export const onThreadEnd = () => {}
`

/** Loads a copy of the code with these changes. The text of each change must occur exactly once. */
export async function loadCode(changes: readonly Change[] = []): Promise<Code> {
  const folder = mkdtempSync(join(tmpdir(), 'lockwise-code-'))
  cpSync(fileURLToPath(new URL('../../src', import.meta.url)), folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  const threads = join(folder, 'backends', 'threads')
  for (const [file, from, to] of [...ALWAYS, ...changes]) {
    const path = join(threads, file)
    const parts = readFileSync(path, 'utf8').split(from)
    if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} matches of: ${from}`)
    writeFileSync(path, parts.join(to))
  }
  writeFileSync(join(threads, 'lifelines.js'), LIFELINES)
  const load = (file: string) => import(pathToFileURL(join(threads, file)).href)
  const { SharedLocks: Locks } = await load('shared-locks.js')
  const { planLayout } = (await load('table-layout.js')) as typeof layout
  const { clearUp } = (await load('deaths.js')) as typeof deaths
  const { explored } = (await load('lifelines.js')) as { explored(by: Explorer<unknown>): void }
  return {
    open(explorer, { label, onOwnerDied, ...options }) {
      explored(explorer)
      const bytes = { set: () => {}, slice: () => new Uint8Array() }
      const { words, floats } = explorer
      const table = { layout: planLayout({ ...options, recordBytes: 16 }), words, floats, bytes }
      return new Locks(table, { label, onOwnerDied })
    },
    clearUp(locks, thread) {
      const { table, owner } = (locks as unknown as { model: { table: Table; owner: Owner } }).model
      clearUp(table, owner, thread + 1)
    },
    remove: () => rmSync(folder, { recursive: true }),
  }
}
