/** The form that compilers give an `async` function for old targets: a generator driven by `then`. */

/** Awaits one promise as such code does. */
export function viaAwaiter(start: () => Promise<unknown>): Promise<unknown> {
  return awaiter(function* () {
    const value = yield start()
    return value
  })
}

/** TypeScript's `__awaiter`. */
function awaiter(body: () => Generator<unknown, unknown, unknown>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const generator = body()
    const fulfilled = (value: unknown): void => {
      try {
        step(generator.next(value))
      } catch (error) {
        reject(error)
      }
    }
    const rejected = (reason: unknown): void => {
      try {
        step(generator.throw(reason))
      } catch (error) {
        reject(error)
      }
    }
    const step = ({ done, value }: IteratorResult<unknown>): void => {
      if (done) resolve(value)
      else adopted(value).then(fulfilled, rejected)
    }
    step(generator.next())
  })
}

function adopted(value: unknown): Promise<unknown> {
  return value instanceof Promise
    ? value
    : new Promise((resolve) => {
        resolve(value)
      })
}
