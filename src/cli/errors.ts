/** Errors that end a command early, with one line for the user and an exit status. */

/**
 * Thrown for bad usage or bad input: exit status 2. The message is one line that names the expected value.
 */
export class InputError extends Error {
  override readonly name = 'InputError'
}

/** The exit statuses of the command. */
export const EXIT = { done: 0, broken: 1, badInput: 2, interrupted: 130 } as const
