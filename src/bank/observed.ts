/** Lets a caller watch and stop a run. */

import type { RunOptions } from './options.ts'

/** A run, as the caller's signal and callback see it. */
interface Observable {
  /** Makes the work end early. */
  readonly stop: () => void
  /** Returns the number of finished transfers. */
  readonly done: () => number
  readonly work: () => Promise<unknown>
}

/** The time between two progress reports. */
const PROGRESS_MS = 100

/** Does the work. `signal` stops it; `onProgress` is called meanwhile and at the end. */
export async function observed(
  {
    signal,
    onProgress,
  }: { readonly [Name in 'signal' | 'onProgress']: RunOptions[Name] | undefined },
  { stop, done, work }: Observable,
): Promise<void> {
  if (signal?.aborted) stop()
  signal?.addEventListener('abort', stop)
  const timer = setInterval(() => onProgress?.(done()), PROGRESS_MS)
  try {
    await work()
  } finally {
    clearInterval(timer)
    signal?.removeEventListener('abort', stop)
  }
  onProgress?.(done())
}
