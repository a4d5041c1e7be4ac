/** The known word that a misspelled one was probably meant to be. */

/** The nearest of some words; `undefined` where none is near. Cost: the lengths of all, multiplied. */
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

/** 0 to 1 where one begins the other, as `timeout` begins `timeoutMs`; else the letters to change. */
function distanceBetween(word: string, candidate: string): number {
  const [a, b] = [word.toLowerCase(), candidate.toLowerCase()]
  const [short, long] = a.length < b.length ? [a, b] : [b, a]
  if (short.length >= MIN_LENGTH && long.startsWith(short)) return 1 - short.length / long.length
  const letters = editDistance(a, b)
  return letters <= Math.max(1, Math.floor(long.length / 3)) ? letters : Number.POSITIVE_INFINITY
}

/** Shorter words begin too many others. */
const MIN_LENGTH = 3
/** Longer words are no misspelled option. */
const MAX_LENGTH = 40

/** Levenshtein's distance, a row at a time. */
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
