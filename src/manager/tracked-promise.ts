/**
 * A promise that tells when somebody waits for it.
 *
 * `await`, `Promise.all` and `Promise.resolve` read the `constructor` of a promise, to see whether it is
 * theirs; all else calls `then`. Both are ours, and answer what they would answer of any promise. Who
 * only adds a `catch` does not wait; but what the `catch` returns can be waited for, and is tracked in
 * its place.
 */
export class TrackedPromise<Value> extends Promise<Value> {
  readonly #onSubscribed: (() => unknown) | undefined

  static {
    Object.defineProperty(TrackedPromise.prototype, 'constructor', {
      configurable: true,
      get(this: object): PromiseConstructor {
        if (!isSubscribing && #onSubscribed in this) this.#onSubscribed?.()
        return Promise
      },
    })
  }

  /** `onSubscribed` answers with what the promise was made for. */
  constructor(
    executor: ConstructorParameters<typeof Promise<Value>>[0],
    onSubscribed: () => unknown,
  ) {
    super(executor)
    this.#onSubscribed = onSubscribed
  }

  /** Says that somebody waits for a tracked promise. What it was made for; `undefined` of other values. */
  static subscribe(value: object): unknown {
    if (!(#onSubscribed in value)) return undefined
    return (value as TrackedPromise<unknown>).#onSubscribed?.()
  }

  // biome-ignore lint/suspicious/noThenProperty: this is what the class is for
  override then<Fulfilled = Value, Rejected = never>(
    onFulfilled?: ((value: Value) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    const onSubscribed = this.#onSubscribed
    const isWaiting = typeof onFulfilled === 'function'
    const derived = this.#plainThen(onFulfilled, onRejected)
    if (onSubscribed === undefined) return derived
    if (!isWaiting) {
      return new TrackedPromise((resolve, reject) => derived.then(resolve, reject), onSubscribed)
    }
    onSubscribed()
    return derived
  }

  #plainThen<Fulfilled, Rejected>(
    onFulfilled?: ((value: Value) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    isSubscribing = true
    try {
      return super.then(onFulfilled, onRejected)
    } finally {
      isSubscribing = false
    }
  }
}

/** Whether it is `then` itself that reads the constructor. */
let isSubscribing = false
