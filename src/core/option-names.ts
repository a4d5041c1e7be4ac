/** Finds unknown options: most are misspelled, and would otherwise be ignored silently. */

import { type Caller, LockUsageError } from './errors.ts'
import { nearest } from './nearest.ts'

/** The option names that a call accepts. */
export class OptionNames {
  readonly #names: readonly string[]
  /** The same names, for fast lookup. */
  readonly #known: Readonly<Record<string, true>>

  constructor(names: readonly string[]) {
    this.#names = names
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
    const meant = nearest(unknown, this.#names)
    const hint = meant === undefined ? `only ${this.#names.join(', ')}` : `did you mean '${meant}'?`
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
