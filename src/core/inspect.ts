/** Lets objects say what `util.inspect` and `console.log` show of them, without importing `node:util`. */

import { visible } from './format.ts'

/** Node, Deno and Bun look for a method of this name. */
const INSPECT = Symbol.for('nodejs.util.inspect.custom')

/** The arguments of such a method: how deep it may go, options, and a function that shows other values. */
export type InspectArguments = [
  depth?: number | null,
  options?: object,
  inspect?: (value: unknown, options?: object) => string,
]

/** Gives all objects of a prototype a text to be shown as. The text is escaped; an error is not thrown. */
export function inspectAs<Shown extends object>(
  prototype: Shown,
  name: string,
  textOf: (shown: Shown) => string,
): void {
  inspectBy(prototype, name, (shown) => visible(`${name} { ${textOf(shown)} }`))
}

/** The same for texts that are whole, escaped, and mind the depth. */
export function inspectBy<Shown extends object>(
  prototype: Shown,
  name: string,
  textOf: (shown: Shown, ...given: InspectArguments) => string,
): void {
  Object.defineProperty(prototype, INSPECT, {
    configurable: true,
    writable: true,
    value(this: Shown, ...given: InspectArguments): string {
      try {
        return textOf(this, ...given)
      } catch {
        // The prototype itself, or a proxy.
        return `${name} {}`
      }
    },
  })
}
