/** The benchmarks in their small size, so that they keep working. Their measurements here mean nothing. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { outputOfNode } from '../spawn.ts'

const program = fileURLToPath(new URL('../../bench/run.js', import.meta.url))

/** The text that the answer to each question must contain. */
const QUESTIONS: Record<string, RegExp[]> = {
  languages: [/without audits[\s\S]*\| 1 {7}\| +6 \|/, /with audits[\s\S]*\| 6 {7}\| +65,536 \|/],
  lecture: [/\| program/],
  deadlocks: [
    /\| 2 +\| +25 \| +25 \| +1 \|.*\| +0 \|/,
    /: no deadlocks reported/,
    /\| 5 +\| +25 \| +25 \| +1 \|.*\| +0 \|/,
  ],
  fairness: [/\| 6 +\| +0 \|/, /\| 1 +\| +5 \|/],
  repairs: [/\| 6 +\| +65,536 \|/],
  audits: [/\| 65,536 +\| +ordered \|/, /\| 6 +\| +global \|/],
}

describe('the benchmarks', { timeout: 300_000 }, () => {
  for (const [question, expected] of Object.entries(QUESTIONS)) {
    it(`answer about ${question}`, async (t) => {
      const { stdout, stderr } = await outputOfNode([program, '--small', '--only', question])
      for (const part of expected) assert.match(stdout, part)
      // A language whose compiler is missing is left out. This shows it in the test output.
      for (const line of stderr.split('\n')) if (line.includes('LEFT OUT')) t.diagnostic(line)
    })
  }

  it('refuse an unknown question', async () => {
    await assert.rejects(outputOfNode([program, '--only', 'nothing']), /--only must be/)
  })
})
