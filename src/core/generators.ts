/** Generator functions as callbacks: they return before they have run, so their locks would protect nothing. */

/** Whether a function is a generator function, async or not, of whatever realm. Cost: one read. */
export function isGenerator(callback: object): boolean {
  const { [Symbol.toStringTag]: tag } = callback as { [Symbol.toStringTag]?: unknown }
  return tag === 'GeneratorFunction' || tag === 'AsyncGeneratorFunction'
}
