/** The origins of messages that the program does not provoke, each with its reason. */

/** An origin, by its file and a part of its line: line numbers change. */
interface Unprovoked {
  readonly file: string
  readonly text: string
  readonly reason: string
}

const DAMAGED = 'other code has overwritten the memory of a table'
const RESTRICTED = 'printed above, but a process that Node restricts does not write its coverage'
const THREADS = 'src/backends/threads'

export const UNPROVOKED: readonly Unprovoked[] = [
  { file: `${THREADS}/held-list.ts`, text: 'owner.id} is circular', reason: DAMAGED },
  { file: `${THREADS}/held-list.ts`, text: '{id} is circular', reason: DAMAGED },
  { file: `${THREADS}/owners.ts`, text: 'there is no owner', reason: DAMAGED },
  { file: `${THREADS}/table-layout.ts`, text: 'return new LockUsageError(', reason: DAMAGED },
  { file: `${THREADS}/table.ts`, text: 'there is no lock at', reason: DAMAGED },
  { file: `${THREADS}/wait.ts`, text: 'but does not exist', reason: DAMAGED },
  { file: `${THREADS}/lifelines.ts`, text: 'cannot be read, and', reason: RESTRICTED },
  { file: `${THREADS}/lifelines.ts`, text: 'neither can', reason: RESTRICTED },
  {
    file: 'src/manager/wait-graph.ts',
    text: 'new Error(',
    reason: 'a check of the library itself: no call can make it fail',
  },
]

/** The reason why an origin is not provoked; `undefined` if it must be. */
export function reasonFor(at: string, text: string): string | undefined {
  return UNPROVOKED.find((one) => at.startsWith(`${one.file}:`) && text.includes(one.text))?.reason
}
