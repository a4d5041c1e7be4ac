/** Errors that end a command early, with one line for the user and an exit status. */

/** Bad usage or bad input: exit status 2. The message is one line that says what was expected. */
export class InputError extends Error {
  override readonly name = 'InputError'
}

/** Exit statuses. */
export const EXIT = { done: 0, broken: 1, badInput: 2, interrupted: 130 } as const
