/** The setting of every question of the benchmarks, and the table of its answer. */

import type { Size } from './cells.ts'
import type { Native } from './programs.ts'

/** The setting of a question. */
export interface Setting {
  readonly size: Size
  /** Returns the native programs of these ids that could be built. */
  readonly native: (...ids: string[]) => Native['programs']
  /** Must be called after every run: shows progress on a terminal. */
  readonly tick: () => void
}

/** Formats a table in Markdown: the first column aligned left, the others right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((cell, i) =>
    Math.max(cell.length, ...rows.map((row) => row[i]?.length ?? 0)),
  )
  const line = (cells: readonly string[]): string => {
    const padded = widths.map((width, i) =>
      i === 0 ? (cells[i] ?? '').padEnd(width) : (cells[i] ?? '').padStart(width),
    )
    return `| ${padded.join(' | ')} |`
  }
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
  return [line(head), line(rule), ...rows.map(line)].join('\n')
}

/** Formats a number with commas between its thousands. */
export function grouped(number: number): string {
  return Math.round(number).toLocaleString('en-US')
}

/** Formats a number in millions, with one decimal. */
export function millions(number: number): string {
  return (number / 1e6).toFixed(1)
}

/** Returns the value below which this share of the numbers lies. */
export function quantile(values: ArrayLike<number>, share: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

/** Returns the median of some numbers. */
export function median(values: ArrayLike<number>): number {
  const sorted = Float64Array.from(values).sort()
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2
}
