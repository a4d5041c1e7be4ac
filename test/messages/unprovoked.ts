/** The places that make a message and that the program does not provoke, each with its reason. */

/** A place, by its file and a part of its line: line numbers change. */
interface Unprovoked {
  readonly file: string
  readonly text: string
  readonly reason: string
}

export const UNPROVOKED: readonly Unprovoked[] = []

/** The reason why a place is not provoked; `undefined` if it must be. */
export function reasonFor(at: string, text: string): string | undefined {
  return UNPROVOKED.find((one) => at.startsWith(`${one.file}:`) && text.includes(one.text))?.reason
}
