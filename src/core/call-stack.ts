/** Call stacks of errors that are made when their caller has left. */

/** The stack of an error as it is if it begins at these calls, a line each, the innermost first. */
export function stackBeginningAt(error: Error, calls: string): string {
  return [
    `${error.name}: ${error.message}`,
    ...calls.split('\n').map((call) => `    ${call}`),
  ].join('\n')
}
