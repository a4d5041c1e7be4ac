/** A program to bundle for each entry of the package. It writes one line: `ok` if all is well. */

/** Runs `main`, and writes its result. This code must not import any module. */
const MAIN = `
main().then((text) => console.log(text), (error) => console.log(String(error?.stack ?? error)))
`

const LOCKWISE = `
import { LockManager, locks, shared } from 'lockwise'
async function main() {
  const mode = await locks.request(['a', shared('b')], (lock) => lock.mode)
  const manager = new LockManager({ deadlockAfterMs: 0, trackOrder: false })
  manager.on('deadlock', () => {})
  let arrived = 0
  let open
  const both = new Promise((resolve) => { open = resolve })
  const cross = (first, second) =>
    manager.request(first, async (_lock, inside) => {
      if (++arrived === 2) open()
      await both
      return await inside.request(second, () => 'done')
    })
  const ends = await Promise.allSettled([cross('a', 'b'), cross('b', 'a')])
  const ended = ends.map(({ value, reason }) => value ?? reason.code).sort()
  return mode === 'exclusive' && ended.join() === 'LOCK_DEADLOCK,done' ? 'ok' : mode + ended
}
`

const THREADS = `
import { SharedLocks } from 'lockwise/threads'
async function main() {
  const locks = SharedLocks.create({ count: 2, order: 'free' })
  const held = locks.hold([1], () => 'held')
  const later = await locks.holdAsync([0, 1], async () => 'later')
  let report
  try {
    locks.hold([1], function outer() { locks.hold([1], function inner() {}) })
  } catch (error) {
    report = error.report
  }
  // A bundle's calls are the program's: none may be left out.
  const [member] = report.cycle
  return held + later === 'heldlater' && /:\\d+:\\d+/.test(member.waitsAt) ? 'ok' : JSON.stringify(report)
}
`

const EXPLAIN = `
import { deadlockText, visible } from 'lockwise/explain'
async function main() {
  const lock = { name: 'x', mode: 'exclusive', units: 1 }
  const waiter = { kind: 'request', id: 1, label: 'a' }
  const holds = [{ ...lock, label: 'a' }]
  const member = { waiter, holds, waitsFor: lock, blockers: [1], waitedMs: 1, isProved: true }
  const text = deadlockText({ kind: 'deadlock', between: 'tasks', victim: 1, cycle: [member] })
  return visible('\\u0007') === '\\\\u0007' && typeof text === 'string' ? 'ok' : text
}
`

/** Where there are no worker threads, \`runBank\` must say so. */
const BANK = `
import { Bank, runBank, runBankOnTasks } from 'lockwise/bank'
async function main() {
  const options = {
    strategy: 'ordered', balances: [1000, 1000], threads: 2, generate: { seed: 1, transfers: 100 },
  }
  const onTasks = await runBankOnTasks(options)
  const onThreads = await runBank(options).then(({ outcome }) => outcome, ({ code }) => code)
  const bank = Bank.create({ strategy: 'ordered', balances: [5, 5] })
  bank.transfer(0, 1, 2)
  const expected = globalThis.process ? 'consistent' : 'LOCK_USAGE'
  const found = [onTasks.outcome, onTasks.transfers, onThreads, bank.audit()].join()
  return found === ['consistent', 200, expected, 10].join() ? 'ok' : found
}
`

/** The programs, by the name under which each imports its entry. */
export const programs: Readonly<Record<string, string>> = {
  lockwise: LOCKWISE + MAIN,
  'lockwise/threads': THREADS + MAIN,
  'lockwise/explain': EXPLAIN + MAIN,
  'lockwise/bank': BANK + MAIN,
}
