/** Finds unknown options: most are misspelled, and would otherwise be ignored silently. */

import { type Caller, LockUsageError } from './errors.ts'
import { nearest } from './nearest.ts'

/** The option names that a call accepts. */
export class OptionNames {
  readonly #offered: readonly string[]
  /** The same names, for fast lookup. */
  readonly #known: Readonly<Record<string, true>>

  /** `offered`: the names that messages suggest, if the call does not take all that it knows. */
  constructor(names: readonly string[], offered: readonly string[] = names) {
    this.#offered = offered
    this.#known = Object.assign(
      Object.create(null),
      Object.fromEntries(names.map((name) => [name, true])),
    )
  }

  /**
   * The unknown names in `options`. Skips properties that a polluted `Object.prototype` gives all objects.
   * Cost: one lookup for each name.
   */
  unknownIn(options: object): readonly string[] {
    const known = this.#known
    let unknown = NONE
    for (const name in options) {
      if (known[name] === undefined && !(name in Object.prototype)) unknown = [...unknown, name]
    }
    return unknown
  }

  /** "there is no option 'timeout': did you mean 'timeoutMs'?" */
  textFor(unknown: string): string {
    const meant = nearest(unknown, this.#offered)
    const hint =
      meant === undefined ? `use one of ${this.#offered.join(', ')}` : `did you mean '${meant}'?`
    return `there is no option '${unknown.slice(0, SHOWN_LENGTH)}': ${hint}`
  }

  /** @throws LockUsageError for an unknown option. */
  mustKnow(options: object, call: string, caller?: Caller): void {
    const [unknown] = this.unknownIn(options)
    if (unknown !== undefined) throw new LockUsageError(`${call}: ${this.textFor(unknown)}`, caller)
  }
}

const NONE: readonly string[] = []

/** The number of characters of a name that a message shows. */
const SHOWN_LENGTH = 40
