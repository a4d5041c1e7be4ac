/**
 * The forms of awaiting, one by one: what the detector learns of each on the current runtime. For tests and
 * for the table that `npm run runtimes` prints.
 */

import { LockManager } from '../../src/index.ts'
import { FORMS, type FormTools, ignore, newLimit, type Verdict } from '../programs/forms.ts'
import { gate, rounds, settle } from '../waiting.ts'
import { holder } from './tools.ts'

/** A form as a row of the table. */
export interface Row {
  readonly name: string
  /** The verdict by V8's async stack traces. */
  readonly onV8: Verdict
  /** Whether the verdict changes while the request waits. */
  readonly changes?: boolean
  /** The callback. Its promise settles only after `tools.over` or the request does. */
  run(tools: RowTools): unknown
}

/** The tools of a row's code. */
interface RowTools extends FormTools {
  /** Makes a detached request instead. */
  askDetached(): Promise<unknown>
  /** Resolves when the verdict is known. */
  readonly over: Promise<void>
}

async function helperOf(tools: RowTools): Promise<void> {
  await tools.ask()
}

/** The forms of the random programs, in the synchronous part of a callback. */
const OF_PROGRAMS: readonly Row[] = FORMS.map(({ name, verdict, run }) => ({
  name,
  onV8: verdict,
  run: async (tools) => {
    await run(tools)
    await tools.over
  },
}))

const MORE: readonly Row[] = [
  {
    name: 'returned by the callback',
    onV8: 'proved',
    run: (tools) => tools.ask(),
  },
  {
    name: 'returned by an async callback',
    onV8: 'proved',
    run: async (tools) => tools.ask(),
  },
  {
    name: 'then-chain returned',
    onV8: 'proved',
    run: (tools) => settle().then(() => tools.ask()),
  },
  {
    name: 'await after an await',
    onV8: 'proved',
    run: async (tools) => {
      await null
      await tools.ask()
    },
  },
  {
    name: 'awaited some turns later',
    onV8: 'proved',
    changes: true,
    run: async (tools) => {
      const promise = tools.ask()
      await settle()
      await promise
    },
  },
  {
    name: 'helper awaited some turns later',
    onV8: 'proved',
    changes: true,
    run: async (tools) => {
      const helper = helperOf(tools)
      await settle()
      await helper
    },
  },
  {
    name: 'void helper after an await',
    onV8: 'suspected',
    run: async (tools) => {
      await null
      void helperOf(tools).catch(ignore)
      await tools.over
    },
  },
  {
    name: 'Promise.race, lost',
    onV8: 'suspected',
    changes: true,
    run: async (tools) => {
      await Promise.race([tools.ask(), settle()])
      await tools.over
    },
  },
  {
    name: 'Promise.any, lost',
    onV8: 'suspected',
    changes: true,
    run: async (tools) => {
      await Promise.any([tools.ask(), settle()])
      await tools.over
    },
  },
  {
    name: 'Promise.all, rejected',
    onV8: 'suspected',
    changes: true,
    run: async (tools) => {
      const rejected = settle().then(() => Promise.reject(new Error('the other promise')))
      await Promise.all([tools.ask(), rejected]).catch(ignore)
      await tools.over
    },
  },
  {
    name: 'detached, awaited',
    onV8: 'none',
    run: async (tools) => {
      await tools.askDetached()
    },
  },
  {
    name: 'void',
    onV8: 'none',
    run: async (tools) => {
      void tools.ask()
      await tools.over
    },
  },
]

/** All rows. */
export const ROWS: readonly Row[] = [...OF_PROGRAMS, ...MORE]

/**
 * The detector's verdict on a row's code. Two holders wait for each other. The other one returns its own
 * nested request, so its wait is proved on every runtime. `closedBy` waits last.
 */
export async function verdictOf(row: Row, closedBy: 'row' | 'other'): Promise<Verdict> {
  const locks = new LockManager({ deadlockAfterMs: Number.POSITIVE_INFINITY, trackOrder: false })
  const events = new Set<string>()
  locks.on('deadlock', () => events.add('proved'))
  locks.on('suspected', () => events.add('suspected'))
  const over = gate()
  const controller = new AbortController()
  const startRow = (): Promise<unknown> =>
    locks.request('a', (_lock, scope) =>
      row.run({
        ask: () => scope.request('b', ignore),
        askDetached: () => scope.request('b', { detached: true }, ignore),
        other: over.opened,
        later: (work) => setTimeout(work, 0),
        limit: newLimit(),
        over: over.opened,
      }),
    )
  const startOther = (): Promise<unknown> =>
    locks.request('b', (_lock, scope) => scope.request('a', { signal: controller.signal }, ignore))
  const { end: first } = await holder(locks, closedBy === 'row' ? 'a' : 'b')
  const starts = closedBy === 'row' ? [startRow, startOther] : [startOther, startRow]
  const both = starts.map((start) => start())
  await rounds()
  await first()
  await rounds()
  over.open()
  controller.abort()
  await Promise.allSettled(both)
  return events.has('proved') ? 'proved' : events.has('suspected') ? 'suspected' : 'none'
}

/** The detector's verdict on each row, by the row's name. */
export async function verdictsOfAll(): Promise<Record<string, Verdict>> {
  const verdicts: Record<string, Verdict> = {}
  for (const row of ROWS) verdicts[row.name] = await verdictOf(row, 'other')
  return verdicts
}
