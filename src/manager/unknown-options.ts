/** Warns about options and names that `request()` treats unexpectedly, because Web IDL requires it. */

import { emitWarning } from '../core/emit-warning.ts'
import { visible } from '../core/format.ts'
import type { OptionNames } from '../core/option-names.ts'

/** The most option names to warn about. */
const MAX_WARNED = 100
/** All of the first {@link FIRST} requests are checked, and then one in {@link SAMPLED}. */
const FIRST = 1000
const SAMPLED = 64

/** The texts, not the names: a name can be of any length. */
const warned = new Set<string>()
let isWarnedOfObject = false
let requests = 0

/**
 * Warns about an option that `request()` ignores, as Web IDL does: once for each name. Checks only a sample
 * of the requests, because a check costs as much as reading all options. A proxy that throws when its options
 * are listed fails no request, since Web IDL does not list them.
 */
export function warnOfUnknown(options: object, names: OptionNames): void {
  if (++requests > FIRST && requests % SAMPLED !== 0) return
  for (const unknown of unknownIn(options, names)) {
    const text = names.textFor(unknown)
    if (warned.has(text) || warned.size >= MAX_WARNED) continue
    warned.add(text)
    emitWarning(visible(`request: ${text} (the option is ignored, as Web IDL requires)`))
  }
}

function unknownIn(options: object, names: OptionNames): readonly string[] {
  try {
    return names.unknownIn(options)
  } catch {
    return []
  }
}

/**
 * Warns once about a name that is an object: all objects without their own `toString()` are the same name.
 */
export function warnOfObjectName(name: string): void {
  if (name !== '[object Object]' || isWarnedOfObject) return
  isWarnedOfObject = true
  emitWarning(
    `request: the name is an object, and counts as the string '${name}', as Web IDL requires. Pass a string; or, ` +
      'for one name in a mode, shared(name) or exclusive(name)',
  )
}
