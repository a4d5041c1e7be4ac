/** The explorer must find each of these deliberate faults in the code. */

import type { Change } from './code.ts'

/** One fault, and the situation in which the explorer must find it. */
export interface Broken {
  readonly what: string
  readonly changes: readonly Change[]
  readonly situation: string
  /** Set if the search takes longer than a test should. */
  readonly long?: true
}

export const broken: readonly Broken[] = [
  {
    what: 'notify left out',
    changes: [['wait.js', 'Atomics.notify(words, word >> 2, most) > 0', 'most < 0']],
    situation: 'two threads, a pair each',
  },
  {
    what: 'sleep without compare',
    changes: [
      [
        'thread-waiter.js',
        'Atomics.wait(this.#table.words, at, value, mostMs)',
        'Atomics.wait(this.#table.words, at, Atomics.load(this.#table.words, at), mostMs)',
      ],
    ],
    situation: 'two threads, a pair each',
  },
  {
    what: 'waiter bit dropped when a woken thread retakes the lock',
    changes: [['acquire.js', 'this.#wait ? this.#bits : 0', '0']],
    situation: 'three threads, one lock',
    long: true,
  },
  {
    what: 'second read left out',
    changes: [
      // The check for waiters and the one that finds a suspected deadlock are readings too.
      ['deadlock.js', 'if (!isWaitedFor(table, owner))\n        return;', ''],
      [
        'deadlock.js',
        'const certain = walk(table, owner.id, children, needsNoProof);',
        'const certain = loose;',
      ],
      [
        'deadlock.js',
        'const second = walk(table, owner.id, childrenIn(table), counts);',
        'const second = first;',
      ],
    ],
    situation: 'a nested request beside requests in sequence',
  },
  {
    what: 'table lock left out',
    changes: [['table-lock.js', '    takeTableLock(table, owner.id);\n', '']],
    situation: 'two threads, nested in both orders',
  },
  {
    what: 'published wait withdrawn at a spurious wake-up',
    changes: [['acquire.js', 'wait.slept(end);', 'wait.end(); wait.slept(end);']],
    situation: 'two threads, nested in both orders',
  },
  {
    what: 'clean-up that wakes only owned locks',
    long: true,
    changes: [['sweep.js', 'Atomics.notify(table.words, word >> 2);', '']],
    situation: 'three threads, one lock, one dies',
  },
  {
    what: 'a sleep announced to a recovering owner that has gone',
    changes: [['acquire.js', ' && !isLeft(table, seen)', '']],
    situation: 'three threads, one lock, two die, the third repairs',
    long: true,
  },
  {
    what: 'epoch left out',
    changes: [
      ['deadlock.js', ' && step.epoch === other.epoch', ''],
      // With these additional readings, the fault takes more preemptions than can be explored.
      ['deadlock.js', 'if (!isWaitedFor(table, owner))\n        return;', ''],
      [
        'deadlock.js',
        'const certain = walk(table, owner.id, children, needsNoProof);',
        'const certain = loose;',
      ],
    ],
    situation: 'a ring that opens and closes again',
    long: true,
  },
  {
    what: 'a reader that does not look again after it has said that it is there',
    changes: [['readers.js', 'if (!isOpen(seen))\n            break;', '']],
    situation: 'a reader and a writer, one lock',
  },
  {
    what: 'a writer that does not wait for the readers of the lock',
    changes: [
      [
        'readers.js',
        'for (let at = first; at < first + (layout.rowBytes >> 2); at++)',
        'for (let at = first; at < first; at++)',
      ],
    ],
    situation: 'a reader and a writer, one lock',
  },
  {
    what: 'a reader that leaves and wakes no thread',
    changes: [
      ['readers.js', '        Atomics.notify(table.words, row);\n    }\n}\n', '    }\n}\n'],
    ],
    situation: 'a reader and a writer, one lock',
  },
  {
    what: 'waiting readers of which one is woken',
    changes: [
      ['acquire.js', "prove || mode === 'shared' ? WAITER | WAKE_ALL : WAITER", 'WAITER'],
      // A reader that enters late also wakes all.
      ['readers.js', 'Atomics.notify(table.words, addressOf(table, lock) >> 2);\n}\n', '}\n'],
    ],
    situation: 'a writer leaves while two readers come, one lock',
  },
  {
    what: "a reader's wait published beside its bit",
    long: true,
    changes: [['acquire.js', 'this.#wait?.end();\n        if (tryEnter', 'if (tryEnter']],
    situation: 'a holder that turns reader, a reader and a writer',
  },
  {
    what: 'a pending writer that does not look for a deadlock through the readers',
    changes: [
      [
        'acquire.js',
        'yield* this.#sleep(row, readers, MAX_SLEEP_MS)',
        '{ this.#waiting(); yield { at: row, value: readers, mostMs: MAX_SLEEP_MS }; }',
      ],
    ],
    situation: 'two readers of one lock each that want the other exclusively',
  },
  {
    what: 'a lock taken without the kernel, and no intent published',
    changes: [
      ['acquire.js', 'intend(table, owner, lock);', ''],
      ['acquire.js', 'intend(table, this.#owner, this.#lock);', ''],
    ],
    situation: 'a holder and a waiter that dies, one lock',
  },
  {
    what: 'a dead reader whose bit stays',
    changes: [['readers.js', 'takeBack(table, id, numberOf(table, word));', ';']],
    situation: 'a reader and a writer, one lock, the reader dies',
  },
  {
    what: 'a pair unlocked by stores, and the sleep count not read again',
    changes: [
      ['atomics-kernel.js', 'sleeps === Atomics.load(words, sleepCount >> 2) ? 0 : 15', '0'],
    ],
    situation: 'two threads, a pair each, unlocked by stores',
  },
  {
    what: 'x86: a first sleep that is long',
    changes: [['wait.js', 'const FIRST_SLEEP_MS = 1;', 'const FIRST_SLEEP_MS = 100;']],
    situation: 'x86: a pair and one of its locks',
  },
  {
    what: 'x86: the sleep count not read again',
    changes: [
      ['atomics-kernel.js', 'sleeps === Atomics.load(words, sleepCount >> 2) ? 0 : 15', '0'],
    ],
    situation: 'x86: a pair and one of its locks',
  },
  {
    what: 'x86: a long sleep after one that did not end by time',
    changes: [['wait.js', 'areSet && this.#hasSleptOut', 'areSet']],
    situation: 'x86: a pair, one of its locks, and a spurious wake-up',
  },
]
