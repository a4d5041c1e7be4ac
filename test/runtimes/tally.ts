/** The counts of the tests that a runtime has run: a line for each file, and one for all. */

/** The results of the tests of a file. */
export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** The reason in the title of a test that was skipped. */
export const SKIPPED: RegExp = /\(skipped: ([^)]+)\)/g

/** Prints the lines of one runtime. */
export class Tally {
  /** The reasons of skipped tests. */
  readonly reasons: Set<string> = new Set()
  readonly #runtime: string
  readonly #files = { passed: 0, failed: 0, 'left out': 0 }
  readonly #tests = { passed: 0, failed: 0, skipped: 0 }

  constructor(runtime: string) {
    this.#runtime = runtime
  }

  /** Whether a test of any file has failed. */
  get hasFailed(): boolean {
    return this.#files.failed > 0
  }

  add(file: string, counts: Counts): void {
    this.#files[counts.failed > 0 ? 'failed' : 'passed']++
    for (const key of ['passed', 'failed', 'skipped'] as const) this.#tests[key] += counts[key]
    this.#print(file, wordsOf(counts))
  }

  /** Prints a file that this runtime cannot run. */
  leaveOut(file: string, reason: string): void {
    this.#files['left out']++
    this.#print(file, `LEFT OUT: ${reason}`)
  }

  /** Prints the sums, and the reasons of skips. */
  end(): void {
    this.#print('all', `files: ${wordsOf(this.#files)}; tests: ${wordsOf(this.#tests)}`)
    for (const reason of this.reasons) this.#print('', `skipped: ${reason}`)
  }

  #print(file: string, text: string): void {
    console.log(`${this.#runtime.padEnd(24)} ${file.padEnd(10)} ${text}`)
  }
}

function wordsOf(counts: object): string {
  return Object.entries(counts)
    .filter(([key, count]) => count > 0 || key === 'passed' || key === 'failed')
    .map(([key, count]) => `${count} ${key}`)
    .join(', ')
}
