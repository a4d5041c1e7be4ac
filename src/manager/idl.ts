/** Gives a class the shape that Web IDL gives a browser's own classes. */

/** Any class; it is never constructed here. */
// biome-ignore lint/complexity/noBannedTypes: only its prototype is used
type Class = Function

/** Makes members of a class enumerable, and its string tag a read-only value. */
export function shapeAsIdl(shaped: Class, tag: string, members: readonly string[]): void {
  const { prototype } = shaped
  for (const member of members) Object.defineProperty(prototype, member, { enumerable: true })
  Object.defineProperty(prototype, Symbol.toStringTag, { value: tag, configurable: true })
}
