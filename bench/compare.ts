/**
 * Runs programs in turn in one cell, round after round, so that all of them meet the same conditions. Every
 * other round runs in reverse, so that a machine that becomes slower favours none of them.
 */

import type { Cell } from './cells.ts'
import { cellFor, type Measured, type Program } from './programs.ts'
import { median } from './question.ts'

/** The measurements of one program in one cell. */
export interface Compared {
  readonly program: Program
  /** Medians over the rounds. */
  readonly transfersPerSecond: number
  readonly seconds: number
  readonly sleeps: number
  /** The median over the rounds of the first program's speed divided by this one's. */
  readonly ratio: number
}

/** Compares the programs in a cell. Calls `tick` after every run. */
export async function compare(
  programs: readonly Program[],
  cell: Cell,
  rounds: number,
  tick: () => void,
): Promise<Compared[]> {
  const measured = programs.map((): Measured[] => [])
  for (let round = 0; round < rounds; round++) {
    for (const [i, program] of inTurn([...programs.entries()], round)) {
      measured[i]?.push(await program.run(cellFor(program, cell), round + 1))
      tick()
    }
  }
  const [first = []] = measured
  return programs.map((program, i) => {
    const runs = measured[i] ?? []
    return {
      program,
      transfersPerSecond: median(runs.map((run) => run.transfersPerSecond)),
      seconds: median(runs.map((run) => run.seconds)),
      sleeps: median(runs.map((run) => run.sleeps)),
      ratio: median(
        runs.map((run, n) => (first[n]?.transfersPerSecond ?? 0) / run.transfersPerSecond),
      ),
    }
  })
}

/**
 * Measures in turn, round after round; the first round only warms up. Returns the results of each measure, in
 * the order of the rounds.
 */
export async function measureInTurn(
  measures: readonly (() => Promise<number>)[],
  rounds: number,
  tick: () => void,
): Promise<number[][]> {
  const results = measures.map((): number[] => [])
  for (let round = 0; round <= rounds; round++) {
    for (const [i, measure] of inTurn([...measures.entries()], round)) {
      const result = await measure()
      if (round > 0) results[i]?.push(result)
      tick()
    }
  }
  return results
}

/** Returns the median over the rounds of `of` divided by `to`. */
export function medianRatio(of: readonly number[], to: readonly number[]): number {
  return median(of.map((value, round) => value / (to[round] ?? Number.NaN)))
}

/** Returns a list in the order of a round: every other round is reversed. */
export function inTurn<Item>(list: readonly Item[], round: number): Item[] {
  return round % 2 === 0 ? [...list] : [...list].reverse()
}
