/** Options under a name that we do not know: most are misspelled, and would be ignored in silence. */

import { type Caller, LockUsageError } from './errors.ts'
import { nearest } from './nearest.ts'

/** The names of the options that a call has. */
export class OptionNames {
  readonly #names: readonly string[]
  /** For a quick look: whether a name is known. */
  readonly #known: Readonly<Record<string, true>>

  constructor(names: readonly string[]) {
    this.#names = names
    this.#known = Object.assign(
      Object.create(null),
      Object.fromEntries(names.map((name) => [name, true])),
    )
  }

  /**
   * The names in `options` that are not known; what all objects have, by a polluted `Object.prototype`, is
   * passed over. Cost: a look at each name.
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

/** So much of a name is shown. */
const SHOWN_LENGTH = 40
