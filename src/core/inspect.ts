/** Lets objects say what `util.inspect` and `console.log` show of them, without importing `node:util`. */

import { visible } from './visible.ts'

/** Node, Deno and Bun look for a method of this name. */
const INSPECT = Symbol.for('nodejs.util.inspect.custom')

/** Gives all objects of a prototype a text to be shown as. The text is escaped; an error is not thrown. */
export function inspectAs<Shown extends object>(
  prototype: Shown,
  name: string,
  textOf: (shown: Shown) => string,
): void {
  Object.defineProperty(prototype, INSPECT, {
    configurable: true,
    writable: true,
    value(this: Shown): string {
      try {
        return visible(`${name} { ${textOf(this)} }`)
      } catch {
        // The prototype itself, or a proxy.
        return `${name} {}`
      }
    },
  })
}
