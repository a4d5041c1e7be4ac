/** The runs as one JSON document. */

import { randomUUID } from 'node:crypto'
import { formatCents } from '../bank/index.ts'
import { visible } from '../explain/index.ts'
import type { FinishedRun, Workload } from './bank-workload.ts'

/**
 * `{ workload, runs }` as text. Money is a number in whole units for generated workloads, and one with
 * exactly two decimals for files.
 */
export function bankJson(workload: Workload, runs: readonly FinishedRun[]): string {
  const { files, threads, auditEvery, seed } = workload
  // JSON.stringify writes 245.2 for 245.20: amounts go in as marked texts and lose their quotes after.
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

/** Writes as `\u…` what could drive a terminal and JSON leaves as it is: only names have it. */
function escaped(json: string): string {
  return json.split('\n').map(visible).join('\n')
}
