/** The code broken on purpose, a line at a time: the explorer must find each. */

import type { Change } from './code.ts'

/** One fault, and the situation in which it must be found. */
export interface Broken {
  readonly what: string
  readonly changes: readonly Change[]
  readonly situation: string
  /** It takes longer to find than a test should. */
  readonly long?: true
}

export const broken: readonly Broken[] = [
  {
    what: 'notify left out',
    changes: [['waiter.js', 'Atomics.notify(words, word >> 2, most) > 0', 'most < 0']],
    situation: 'two threads, a pair each',
  },
  {
    what: 'sleep without compare',
    changes: [
      [
        'waiter.js',
        'Atomics.wait(words, at, seen | WAITER, LONGEST_SLEEP_MS)',
        'Atomics.wait(words, at, Atomics.load(words, at), LONGEST_SLEEP_MS)',
      ],
    ],
    situation: 'two threads, a pair each',
  },
  {
    what: 'waiter bit dropped when a woken thread retakes the lock',
    changes: [
      [
        'waiter.js',
        'Atomics.compareExchange(words, at, 0, this.#owner.me | WAITER) === 0',
        'Atomics.compareExchange(words, at, 0, this.#owner.me) === 0',
      ],
    ],
    situation: 'three threads, one lock',
    long: true,
  },
  {
    what: 'second read left out',
    changes: [
      [
        'deadlock.js',
        'if (!walk(table, owner.id))\n        return undefined;',
        'const found = walk(table, owner.id);\n    if (!found)\n        return undefined;',
      ],
      ['deadlock.js', 'let first = walk(table, owner.id);', 'let first = found;'],
      ['deadlock.js', 'const second = walk(table, owner.id);', 'const second = first;'],
    ],
    situation: 'a nested request beside requests in sequence',
  },
  {
    what: 'claim left out',
    changes: [['claim.js', '    takeClaim(table, owner.id);\n', '']],
    situation: 'two threads, nested both ways',
  },
  {
    what: 'published wait withdrawn at a spurious wake-up',
    changes: [
      [
        'waiter.js',
        "if (end !== 'not-equal')\n                    this.sleeps++;",
        'endWait(table, this.#owner);',
      ],
    ],
    situation: 'two threads, nested both ways',
  },
  {
    what: 'clean-up that wakes only owned locks',
    long: true,
    changes: [
      [
        'deaths.js',
        '    Atomics.notify(words, at);',
        '    if (left !== 0) Atomics.notify(words, at);',
      ],
    ],
    situation: 'three threads, one lock, one dies',
  },
  {
    what: 'epoch left out',
    changes: [['deadlock.js', ' && step.epoch === other.epoch', '']],
    situation: 'a ring that opens and closes again',
    long: true,
  },
]
