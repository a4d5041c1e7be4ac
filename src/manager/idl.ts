/** The shape of a class as Web IDL has it: what a browser's own classes look like from outside. */

/** Any class: none is made here. */
// biome-ignore lint/complexity/noBannedTypes: only its prototype is used
type Class = Function

/** Makes members of a class enumerable, and its string tag a plain value that nobody can write. */
export function shapeAsIdl(shaped: Class, tag: string, members: readonly string[]): void {
  const { prototype } = shaped
  for (const member of members) Object.defineProperty(prototype, member, { enumerable: true })
  Object.defineProperty(prototype, Symbol.toStringTag, { value: tag, configurable: true })
}
