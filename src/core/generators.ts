/**
 * Generator functions as callbacks: they return before their body has run, so the locks would protect
 * nothing.
 */

/** Whether a function is a generator function, sync or async, from any realm. Cost: one property read. */
export function isGenerator(callback: object): boolean {
  const { [Symbol.toStringTag]: tag } = callback as { [Symbol.toStringTag]?: unknown }
  return tag === 'GeneratorFunction' || tag === 'AsyncGeneratorFunction'
}
