/** Lets a run be seen and ended from outside while it works. */

import type { RunOptions } from './options.ts'

/** A run, as the caller's signal and callback see it. */
interface Observable {
  /** Makes the work end early. */
  readonly stop: () => void
  /** How many transfers are done. */
  readonly done: () => number
  readonly work: () => Promise<unknown>
}

/** How often progress is reported. */
const PROGRESS_MS = 100

/** Does the work; `signal` stops it, and `onProgress` is called meanwhile and at the end. */
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
