/** Sets the text that `util.inspect` and `console.log` show for an object, without importing `node:util`. */

import { visible } from './format.ts'

/** The name of the method that Node, Deno and Bun call. */
const INSPECT = Symbol.for('nodejs.util.inspect.custom')

/** The arguments of that method: the depth left, options, and a function that shows other values. */
export type InspectArguments = [
  depth?: number | null,
  options?: object,
  inspect?: (value: unknown, options?: object) => string,
]

/** Shows all objects of a prototype as a text, which is escaped. Errors are not thrown. */
export function inspectAs<Shown extends object>(
  prototype: Shown,
  name: string,
  textOf: (shown: Shown) => string,
): void {
  inspectBy(prototype, name, (shown) => visible(`${name} { ${textOf(shown)} }`))
}

/** Like {@link inspectAs}, for a text that is already complete and escaped, and respects the depth. */
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
        // `this` is the prototype itself, or a proxy.
        return `${name} {}`
      }
    },
  })
}
