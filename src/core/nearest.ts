/** Finds the known word that a misspelled word probably meant. */

/**
 * Returns the nearest known word; `undefined` if none is near. Cost: for each, the product of both lengths.
 */
export function nearest(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined
  let least = Number.POSITIVE_INFINITY
  for (const candidate of known) {
    const distance = distanceBetween(word, candidate)
    if (distance < least) {
      least = distance
      best = candidate
    }
  }
  return best
}

/**
 * Less than 1 if one word is a prefix of the other, as `timeout` of `timeoutMs`; else the edit distance.
 * `Infinity` if that distance is more than 1 and more than a third of the longer word.
 */
function distanceBetween(word: string, candidate: string): number {
  const [a, b] = [word.toLowerCase(), candidate.toLowerCase()]
  const [short, long] = a.length < b.length ? [a, b] : [b, a]
  if (short.length >= MIN_LENGTH && long.startsWith(short)) return 1 - short.length / long.length
  const letters = editDistance(a, b)
  return letters <= Math.max(1, Math.floor(long.length / 3)) ? letters : Number.POSITIVE_INFINITY
}

/** Shorter words are prefixes of too many others. */
const MIN_LENGTH = 3
/** A longer word is no misspelled option. */
const MAX_LENGTH = 40

/** Levenshtein's distance, computed row by row. */
function editDistance(a: string, b: string): number {
  if (a.length > MAX_LENGTH) return Number.POSITIVE_INFINITY
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(swap, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}
