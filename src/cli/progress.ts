/** Shows a progress bar for each run, on stderr, and only if that is a terminal. */

import { SingleBar } from 'cli-progress'

/** The progress display of a run. */
export interface Progress {
  readonly update: (done: number) => void
  readonly end: () => void
}

const NARROW = 60

/** Starts the bar of one run. Does nothing if stderr is no terminal, or has no width. */
export function startProgress(title: string, total: number): Progress {
  const width = process.stderr.columns ?? 0
  if (!process.stderr.isTTY || width < 20 || process.env.TERM === 'dumb')
    return { update() {}, end() {} }
  const bar = new SingleBar({
    stream: process.stderr,
    format: width < NARROW ? `${title} {percentage}%` : `${title.padEnd(10)} {bar} {value}/{total}`,
    barsize: Math.min(40, Math.max(10, width - 45)),
    barCompleteChar: '█',
    barIncompleteChar: '░',
    clearOnComplete: true,
    hideCursor: true,
  })
  bar.start(total, 0)
  const stop = (): void => bar.stop()
  // The bar hides the cursor: restore it however the process ends.
  process.once('exit', stop)
  return {
    update: (done) => bar.update(done),
    end: () => {
      process.off('exit', stop)
      stop()
    },
  }
}
