/** Options under a name that we do not know: most are misspelled, and would be ignored in silence. */

import { emitWarning } from '../core/emit-warning.ts'
import { LockUsageError } from '../core/errors.ts'
import { nearest } from '../core/nearest.ts'
import { visible } from '../core/visible.ts'

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
  mustKnow(options: object, call: string): void {
    const [unknown] = this.unknownIn(options)
    if (unknown !== undefined) throw new LockUsageError(`${call}: ${this.textFor(unknown)}`)
  }
}

const NONE: readonly string[] = []

/** So much of a name is shown. */
const SHOWN_LENGTH = 40
/** So many names are warned of. */
const MAX_WARNED = 100
/** The options of the first so many requests are looked at, and then of one in {@link SAMPLED}. */
const FIRST = 1000
const SAMPLED = 64

/** The texts, for a name can be of any length. */
const warned = new Set<string>()
let requests = 0

/**
 * Warns of an option that `request()` ignores, as Web IDL does: once for each name. It looks at a sample of
 * the requests: to look at each would cost as much as all their options together.
 */
export function warnOfUnknown(options: object, names: OptionNames): void {
  if (++requests > FIRST && requests % SAMPLED !== 0) return
  for (const unknown of names.unknownIn(options)) {
    const text = names.textFor(unknown)
    if (warned.has(text) || warned.size >= MAX_WARNED) continue
    warned.add(text)
    emitWarning(visible(`request: ${text} (the option is ignored, as Web IDL has it)`))
  }
}
