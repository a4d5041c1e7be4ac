/**
 * A promise that tells when somebody waits for it.
 *
 * `await`, `Promise.all` and `Promise.resolve` read the `constructor` of a promise, to see whether it is
 * theirs; all else calls `then`. Both are ours, and answer what they would answer of any promise. Who
 * only adds a `catch` does not wait; but what the `catch` returns can be waited for, and is tracked in
 * its place.
 */
export class TrackedPromise<Value> extends Promise<Value> {
  readonly #onSubscribed: (() => void) | undefined
  readonly #subject: unknown

  static {
    Object.defineProperty(TrackedPromise.prototype, 'constructor', {
      configurable: true,
      get(this: object): PromiseConstructor {
        if (!isSubscribing && #onSubscribed in this) this.#onSubscribed?.()
        return Promise
      },
    })
  }

  /** `subject` is what {@link subjectOf} answers. */
  constructor(
    executor: ConstructorParameters<typeof Promise<Value>>[0],
    onSubscribed: () => void,
    subject: unknown,
  ) {
    super(executor)
    this.#onSubscribed = onSubscribed
    this.#subject = subject
  }

  /** What a tracked promise was made for; `undefined` of every other value. */
  static subjectOf(value: object): unknown {
    return #subject in value ? (value as TrackedPromise<unknown>).#subject : undefined
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
      return new TrackedPromise(
        (resolve, reject) => derived.then(resolve, reject),
        onSubscribed,
        this.#subject,
      )
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
