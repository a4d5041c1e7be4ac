/** Writes warnings: as one of the process where there is one, else on the console. */

interface Process {
  emitWarning?(text: string, options: { readonly type: string }): void
}

const TYPE = 'LockwiseWarning'

/** Writes a warning. */
export function emitWarning(text: string): void {
  const { process } = globalThis as { readonly process?: Process }
  if (process?.emitWarning) process.emitWarning(text, { type: TYPE })
  else console.warn(`${TYPE}: ${text}`)
}
