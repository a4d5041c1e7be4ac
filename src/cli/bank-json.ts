/** Formats the runs as one JSON document. */

import { randomUUID } from 'node:crypto'
import { formatCents } from '../bank/index.ts'
import { visible } from '../explain/index.ts'
import type { FinishedRun, Workload } from './bank-workload.ts'

/**
 * Returns `{ workload, runs }` as text. Money is a number: in whole units for generated workloads, with
 * exactly two decimals for files.
 */
export function bankJson(workload: Workload, runs: readonly FinishedRun[]): string {
  const { files, threads, auditEvery, seed } = workload
  // JSON.stringify would write 245.20 as 245.2. So amounts are inserted as marked strings, and then unquoted.
  const mark = randomUUID()
  const money = (amount: number): number | string => (files ? mark + formatCents(amount) : amount)
  const document = {
    workload: {
      source: files ? 'files' : 'generated',
      ...(files
        ? { accountsFile: files.accountsFile, transfersFile: files.transfersFile }
        : { seed, transfersPerThread: workload.transfers / threads }),
      on: workload.on,
      threads,
      accounts: workload.balances.length,
      transfers: workload.transfers,
      auditEvery,
    },
    runs: runs.map((run) => ({
      strategy: run.strategy,
      outcome: run.outcome,
      interrupted: !run.complete,
      transfers: run.transfers,
      refused: run.refused,
      audits: run.audits,
      failedAudits: run.failedAudits,
      totalBefore: money(run.totalBefore),
      totalAfter: money(run.totalAfter),
      seconds: run.seconds,
      transfersPerSecond: run.transfersPerSecond,
      sleeps: run.sleeps,
      deadlocksBroken: run.deadlocksBroken,
      deadlocks: run.deadlocks,
      ...(files && {
        refusedOrders: run.refusedOrders.map((order) => ({
          ...order,
          amount: money(order.amount),
        })),
      }),
    })),
  }
  const text = JSON.stringify(document, null, 2)
  return `${escaped(text.replaceAll(new RegExp(`"${mark}([0-9.-]+)"`, 'g'), '$1'))}\n`
}

/** Escapes, as `\u…`, characters that could control a terminal and that JSON leaves: only names have them. */
function escaped(json: string): string {
  return json.split('\n').map(visible).join('\n')
}
