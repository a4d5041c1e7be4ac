/** Text in an owner's slot: UTF-8 in a field of fixed size, and its length in a word of its own. */

import type { Table } from './table.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/**
 * Writes as much of `text` as fits, cut at a character. Makes a copy, because encoders refuse shared memory.
 */
export function writeText(
  table: Table,
  at: number,
  lengthAt: number,
  text: string,
  most: number,
): void {
  const copy = new Uint8Array(most)
  const { written } = encoder.encodeInto(text, copy)
  table.bytes.set(copy.subarray(0, written), at)
  table.words[lengthAt >> 2] = written
}

/** Reads back what {@link writeText} wrote. */
export function readText(table: Table, at: number, lengthAt: number, most: number): string {
  const length = Math.min(Math.max(0, table.words[lengthAt >> 2] as number), most)
  return decoder.decode(table.bytes.slice(at, at + length))
}
