/** Warns of options and names that `request()` takes otherwise than they look, as Web IDL has it. */

import { emitWarning } from '../core/emit-warning.ts'
import { visible } from '../core/format.ts'
import type { OptionNames } from '../core/option-names.ts'

/** So many names are warned of. */
const MAX_WARNED = 100
/** The options of the first so many requests are looked at, and then of one in {@link SAMPLED}. */
const FIRST = 1000
const SAMPLED = 64

/** The texts, for a name can be of any length. */
const warned = new Set<string>()
let isWarnedOfObject = false
let requests = 0

/**
 * Warns of an option that `request()` ignores, as Web IDL does: once for each name. It looks at a sample of
 * the requests: to look at each would cost as much as all their options together. Web IDL does not list the
 * options: a proxy that throws when it is asked for them fails no request.
 */
export function warnOfUnknown(options: object, names: OptionNames): void {
  if (++requests > FIRST && requests % SAMPLED !== 0) return
  for (const unknown of unknownIn(options, names)) {
    const text = names.textFor(unknown)
    if (warned.has(text) || warned.size >= MAX_WARNED) continue
    warned.add(text)
    emitWarning(visible(`request: ${text} (the option is ignored, as Web IDL has it)`))
  }
}

function unknownIn(options: object, names: OptionNames): readonly string[] {
  try {
    return names.unknownIn(options)
  } catch {
    return []
  }
}

/** Warns, once, of a name that is an object: all objects without a `toString()` of their own are one name. */
export function warnOfObjectName(name: string): void {
  if (name !== '[object Object]' || isWarnedOfObject) return
  isWarnedOfObject = true
  emitWarning(
    `request: the name is an object, and counts as the string '${name}', as Web IDL has it. Pass a string; or, ` +
      'for one name in a mode, shared(name) or exclusive(name)',
  )
}
