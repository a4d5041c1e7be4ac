/**
 * A promise that reports when somebody waits for it.
 *
 * `await`, `Promise.all` and `Promise.resolve` read the `constructor` of a promise, to check whether it is
 * native. All other code calls `then`. This class overrides both; the results are those of any promise. A
 * mere `catch` does not wait. But code can wait for the promise that `catch` returns, so that one is tracked
 * instead.
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

  /** `onSubscribed` returns the object that the promise was made for. */
  constructor(
    executor: ConstructorParameters<typeof Promise<Value>>[0],
    onSubscribed: () => unknown,
  ) {
    super(executor)
    this.#onSubscribed = onSubscribed
  }

  /** Reports that somebody waits for a tracked promise. Returns its object; `undefined` for other values. */
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

/** Whether `then` itself is reading the constructor. */
let isSubscribing = false
