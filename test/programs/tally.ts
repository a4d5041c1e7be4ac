/** Counts of what some programs contained. */

import type { Outcome } from './asked.ts'

/** Cycles with a request of one form. */
interface FormTally {
  proved: number
  suspected: number
  /** Victims of proved cycles. */
  victims: number
  /** Victims of suspected cycles, under `deadlockVictims: 'likely'`. */
  likely: number
}

/** Counts over all programs. */
export interface Tally {
  programs: number
  /** Programs in which the model and the manager differ in the order of a queue. */
  orderDiffers: number
  steps: number
  requests: number
  nested: number
  deadlocks: number
  suspected: number
  /** Cycles in which a request waits for a guard. */
  throughGuards: { proved: number; suspected: number }
  /** Suspected cycles that were proved later. */
  provedLater: number
  ended: Record<Outcome, number>
  /** Requests that could have been granted in the turn in which they gave up: `lost` were not, `won` were. */
  races: { lost: number; won: number }
  /** By the form's name. */
  forms: Map<string, FormTally>
}

/** An empty tally. */
export function newTally(): Tally {
  return {
    programs: 0,
    orderDiffers: 0,
    steps: 0,
    requests: 0,
    nested: 0,
    deadlocks: 0,
    suspected: 0,
    throughGuards: { proved: 0, suspected: 0 },
    provedLater: 0,
    ended: { value: 0, thrown: 0, aborted: 0, timeout: 0, stolen: 0, deadlock: 0, null: 0 },
    races: { lost: 0, won: 0 },
    forms: new Map(),
  }
}

/** Counts a cycle or a victim, once for each form in it. */
export function count(tally: Tally, forms: Iterable<string>, as: keyof FormTally): void {
  for (const form of new Set(forms)) {
    const counts = tally.forms.get(form) ?? newFormTally()
    counts[as]++
    tally.forms.set(form, counts)
  }
}

/** The tally by form, as an aligned table. */
export function tableOf({ forms }: Tally, order: readonly string[]): string {
  const grouped = (count: number): string => count.toLocaleString('en-US')
  const known = [...new Set([...order, ...forms.keys()])]
  const rows = known.map((form) => {
    const counts = forms.get(form) ?? newFormTally()
    return [form, ...COLUMNS.map((column) => grouped(counts[column]))]
  })
  const all = [['form', ...COLUMNS.map((column) => TITLES[column])], ...rows]
  const widths = [0, 1, 2, 3, 4].map((i) => Math.max(...all.map((row) => (row[i] ?? '').length)))
  return all
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
        .join('  '),
    )
    .join('\n')
}

const COLUMNS = ['proved', 'suspected', 'victims', 'likely'] as const
const TITLES = {
  proved: 'proved',
  suspected: 'suspected',
  victims: 'victims',
  likely: "victims of 'likely'",
} as const

function newFormTally(): FormTally {
  return { proved: 0, suspected: 0, victims: 0, likely: 0 }
}
