/** Options under a name that we do not know: most are misspelled, and would be ignored in silence. */

import { LockUsageError } from '../core/errors.ts'
import { nearest } from '../core/nearest.ts'
import { visible } from '../core/visible.ts'
import { emitWarning } from './warn.ts'

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
   * The first name in `options` that is not known; what all objects have, by a polluted
   * `Object.prototype`, is passed over. Cost: a look at each name.
   */
  unknownIn(options: object): string | undefined {
    const known = this.#known
    for (const name in options) {
      if (known[name] === undefined && !(name in Object.prototype)) return name
    }
    return undefined
  }

  /** "there is no option 'timeout': did you mean 'timeoutMs'?" */
  textFor(unknown: string): string {
    const meant = nearest(unknown, this.#names)
    const hint = meant === undefined ? `only ${this.#names.join(', ')}` : `did you mean '${meant}'?`
    return `there is no option '${unknown.slice(0, SHOWN_LENGTH)}': ${hint}`
  }

  /** @throws LockUsageError for an unknown option. */
  mustKnow(options: object, call: string): void {
    const unknown = this.unknownIn(options)
    if (unknown !== undefined) throw new LockUsageError(`${call}: ${this.textFor(unknown)}`)
  }
}

/** So much of a name is shown. */
const SHOWN_LENGTH = 40
/** So many names are warned of. */
const MAX_WARNED = 100

const warned = new Set<string>()

/** Warns of an option that `request()` ignores, as Web IDL does: once for each name. */
export function warnOfUnknown(unknown: string, names: OptionNames): void {
  if (warned.has(unknown) || warned.size >= MAX_WARNED) return
  warned.add(unknown)
  emitWarning(visible(`request: ${names.textFor(unknown)} It is ignored, as Web IDL has it.`))
}
