/**
 * The forms in which code awaits a nested request, or does not. It is real code, the same for the random
 * programs and for the table of forms per runtime. Uses nothing of Node.
 */

import { viaAwaiter } from './awaiter.ts'

/**
 * The detector's knowledge while a request of a form waits: its holder's callback waits for it (`proved`),
 * some code does (`suspected`), or none does (`none`).
 */
export type Verdict = 'proved' | 'suspected' | 'none'

/** The tools of a form. */
export interface FormTools {
  /** Makes the request, or returns one that was made before. Each form calls this exactly once. */
  ask(): Promise<unknown>
  /** The other promise of a form with several; pending until the driver settles it. */
  readonly other: Promise<unknown>
  /** Calls `work` in a later turn of the event loop. */
  later(work: () => unknown): void
  /** A queue of work that was created elsewhere and so runs in another asynchronous context. */
  readonly limit: Limit
}

/** Runs work in its own context; the promise is made where `limit` is called. */
export type Limit = (work: () => Promise<unknown>) => Promise<unknown>

/** When code that waits for several promises continues. */
export type Until = 'one' | 'all' | 'allSettled' | 'race' | 'any'

/** A form of awaiting. */
export interface Form {
  readonly name: string
  readonly verdict: Verdict
  /** Whether the callback waits until the request has settled; otherwise it continues at once. */
  readonly isBlocking: boolean
  /** When the callback continues, if it waits. `one`: when the request has settled. */
  readonly until: Until
  /** Whether the stack shows that the callback waits for several promises at once. */
  readonly branches: boolean
  /** Resolves when the callback continues. Never rejects. */
  run(tools: FormTools): unknown
}

/** Does nothing with a result or an error. */
export const ignore = (): void => {}

const quietly = async (promise: Promise<unknown>): Promise<void> => {
  try {
    await promise
  } catch {}
}

/** Makes the request two async functions deep. */
async function deep(tools: FormTools): Promise<unknown> {
  const inner = async (): Promise<unknown> => {
    await null
    const value = await tools.ask()
    return value
  }
  const value = await inner()
  return value
}

function blocking(
  name: string,
  run: (tools: FormTools) => Promise<unknown>,
  { until = 'one', verdict = 'proved', branches = false }: Partial<Form> = {},
): Form {
  const isBlocking = true
  return { name, verdict, until, branches, isBlocking, run: (tools) => quietly(run(tools)) }
}

function free(name: string, verdict: Verdict, run: (tools: FormTools) => void): Form {
  return { name, verdict, until: 'one', branches: false, isBlocking: false, run }
}

/** The callback waits, and V8 sees it. */
const PROVED: readonly Form[] = [
  blocking('await', async (tools) => {
    await tools.ask()
  }),
  blocking('two async functions deep', deep),
  blocking('awaited later in the turn', async (tools) => {
    const promise = tools.ask()
    await null
    await promise
  }),
  blocking('helper awaited later in the turn', async (tools) => {
    const helper = deep(tools)
    await null
    await helper
  }),
  blocking('then-chain awaited', async (tools) => {
    await tools
      .ask()
      .then((value) => value)
      .then((value) => [value])
  }),
  blocking('catch awaited', async (tools) => {
    await tools.ask().catch(ignore)
  }),
  blocking('finally', async (tools) => {
    await tools.ask().finally(ignore)
  }),
  blocking('hand-made promise', async (tools) => {
    await new Promise((resolve, reject) => {
      tools.ask().then(resolve, reject)
    })
  }),
  blocking('Promise.all', async (tools) => Promise.all([tools.ask(), tools.other]), {
    until: 'all',
    branches: true,
  }),
  blocking('Promise.allSettled', async (tools) => Promise.allSettled([tools.other, tools.ask()]), {
    until: 'allSettled',
    branches: true,
  }),
  blocking('Promise.race', async (tools) => Promise.race([tools.ask(), tools.other]), {
    until: 'race',
  }),
]

/** The callback waits, and V8 does not see it. */
const UNSEEN: readonly Form[] = [
  blocking('Promise.any', async (tools) => Promise.any([tools.ask(), tools.other]), {
    until: 'any',
    verdict: 'suspected',
  }),
  blocking(
    'two reactions',
    async (tools) => {
      const promise = tools.ask()
      promise.then(ignore, ignore)
      await promise
    },
    { verdict: 'suspected' },
  ),
  blocking(
    'hand-made with an arrow',
    async (tools) => {
      await new Promise((resolve, reject) => {
        tools.ask().then((value) => resolve(value), reject)
      })
    },
    { verdict: 'suspected' },
  ),
  blocking('__awaiter', async (tools) => viaAwaiter(() => tools.ask()), { verdict: 'suspected' }),
  blocking('limiter', async (tools) => tools.limit(() => tools.ask()), { verdict: 'suspected' }),
]

/** The callback continues, although there is a subscriber. */
const SUSPECTED: readonly Form[] = [
  free('void helper', 'suspected', (tools) => {
    void quietly(deep(tools))
  }),
  free('.then not awaited', 'suspected', (tools) => {
    tools.ask().then(ignore, ignore)
  }),
  free('timer', 'suspected', (tools) => {
    tools.later(async () => {
      await quietly(tools.ask())
    })
  }),
]

/** There is no subscriber. */
const NONE: readonly Form[] = [
  free('.catch only', 'none', (tools) => {
    tools.ask().catch(ignore)
  }),
]

/** All forms, in the order of the tables. */
export const FORMS: readonly Form[] = [...PROVED, ...UNSEEN, ...SUSPECTED, ...NONE]

/** Forms that can await a request that was made before. */
export const AWAITING: readonly Form[] = FORMS.filter(({ name }) => name !== 'timer')

/** Returns a limiter whose queue is emptied by code that was started when the limiter was made. */
export function newLimit(): Limit {
  const jobs: (() => void)[] = []
  let wake: (() => void) | undefined
  const runJobs = async (): Promise<never> => {
    for (;;) {
      if (jobs.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      jobs.shift()?.()
    }
  }
  void runJobs()
  return (work) =>
    new Promise((resolve, reject) => {
      jobs.push(() => {
        work().then(
          (value) => resolve(value),
          (error) => reject(error),
        )
      })
      wake?.()
    })
}
