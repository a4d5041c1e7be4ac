/**
 * A promise that tells when somebody waits for it: each time.
 *
 * `await` and `Promise.all` read the `then` of a promise whose constructor is not `Promise`, so a
 * subclass sees all who subscribe. Who only adds a `catch` does not wait; but what the `catch` returns
 * can be waited for, and is tracked in its place.
 */
export class TrackedPromise<Value> extends Promise<Value> {
  readonly #onSubscribed: (() => void) | undefined

  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  constructor(executor: ConstructorParameters<typeof Promise<Value>>[0], onSubscribed: () => void) {
    super(executor)
    this.#onSubscribed = onSubscribed
  }

  // biome-ignore lint/suspicious/noThenProperty: this is what the class is for
  override then<Fulfilled = Value, Rejected = never>(
    onFulfilled?: ((value: Value) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    const onSubscribed = this.#onSubscribed
    const derived = super.then(onFulfilled, onRejected)
    if (onSubscribed === undefined) return derived
    if (typeof onFulfilled !== 'function') {
      return new TrackedPromise((resolve, reject) => derived.then(resolve, reject), onSubscribed)
    }
    onSubscribed()
    return derived
  }
}
