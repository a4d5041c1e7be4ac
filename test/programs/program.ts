/** Random programs of nested requests. driver.ts says what each step does. */

import fc from 'fast-check'
import type { LockMode } from '../../src/index.ts'
import type { Demand } from './asked.ts'
import { AWAITING, FORMS, type Form } from './forms.ts'

/** One step. Its numbers pick one of the holders, requests or promises that exist then. */
export type Step =
  | {
      readonly do: 'ask'
      readonly demand: Demand
      readonly within: number
      readonly form: Form
      /** `later`: the promise is kept; `helper`: that of a helper is; `return`: the callback returns it. */
      readonly as: 'form' | 'later' | 'helper' | 'return'
      /** Whether a branch that the callback does not await makes the request. */
      readonly isSide: boolean
      /**
       * The manager or the scope of an outer holder, which find the holder themselves; or the holder's own
       * scope.
       */
      readonly via: 'manager' | 'outer scope' | 'own scope'
    }
  | {
      readonly do: 'await'
      readonly which: number
      readonly other: number
      readonly form: Form
      readonly isSide: boolean
    }
  | { readonly do: 'settle'; readonly which: number; readonly how: 'value' | 'thrown' }
  | { readonly do: 'end'; readonly which: number; readonly throws: boolean }
  | { readonly do: 'abort'; readonly which: number }
  | { readonly do: 'pass'; readonly turns: number }
  | {
      readonly do: 'race'
      readonly end: number
      readonly against: 'abort' | 'time'
      readonly which: number
      readonly microtasks: number
    }

/** A program, and the manager's options. */
export interface Program {
  readonly deadlockAfterMs: number
  readonly deadlockVictims: 'proved' | 'likely'
  readonly steps: readonly Step[]
}

const NAMES = ['a', 'b', 'c', 'd'] as const
const mode = fc.constantFrom<LockMode>('exclusive', 'exclusive', 'shared')
const onHold = fc.oneof(
  { weight: 8, arbitrary: fc.constant('stay' as const) },
  { weight: 1, arbitrary: fc.constantFrom('return' as const, 'throw' as const) },
)
const onHoldOrGuard = fc.oneof(
  { weight: 9, arbitrary: onHold },
  { weight: 4, arbitrary: fc.constant('guard' as const) },
)
const locks = fc
  .uniqueArray(fc.tuple(fc.constantFrom(...NAMES), mode), {
    minLength: 1,
    maxLength: 3,
    selector: ([name]) => name,
  })
  .map((entries) => new Map<string, LockMode>(entries))
const exclusiveLocks = locks.map(
  (map) => new Map([...map.keys()].map((name) => [name, 'exclusive' as const])),
)
const noLimit = fc.constant(undefined)
const timeoutMs = fc.oneof(
  { weight: 4, arbitrary: noLimit },
  { weight: 1, arbitrary: fc.constantFrom(0, 1, 3, 5) },
)
const form = fc.constantFrom(...FORMS)
/** Mostly forms that prove a wait: both the wait for a guard and the wait of a guard must be proved. */
const provingForm = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...FORMS.filter(({ verdict }) => verdict === 'proved')) },
  { weight: 1, arbitrary: form },
)
const which = fc.nat(11)
const isSide = fc.constantFrom(false, false, false, true)

function demandOf(onHold: fc.Arbitrary<Demand['onHold']>): fc.Arbitrary<Demand> {
  const demand = <How extends Demand['how']>(how: How, but: object): fc.Arbitrary<Demand> =>
    fc.record({ how: fc.constant(how), locks, timeoutMs, onHold, ...but }) as fc.Arbitrary<Demand>
  const notGuard = onHold.map((how) => (how === 'guard' ? 'stay' : how))
  return fc.oneof(
    { weight: 12, arbitrary: demand('plain', {}) },
    { weight: 1, arbitrary: demand('detached', {}) },
    { weight: 1, arbitrary: demand('ifAvailable', { timeoutMs: noLimit }) },
    {
      weight: 1,
      arbitrary: demand('steal', { locks: exclusiveLocks, timeoutMs: noLimit, onHold: notGuard }),
    },
  )
}

function stepOf(demand: fc.Arbitrary<Demand>, form: fc.Arbitrary<Form>): fc.Arbitrary<Step> {
  const step = <Do extends Step['do']>(weight: number, what: Do, fields: object) => ({
    weight,
    arbitrary: fc.record({ do: fc.constant(what), ...fields }) as unknown as fc.Arbitrary<Step>,
  })
  return fc.oneof(
    step(12, 'ask', {
      demand,
      within: which,
      form,
      as: fc.oneof(
        { weight: 12, arbitrary: fc.constant('form') },
        { weight: 4, arbitrary: fc.constantFrom('later', 'helper', 'return') },
      ),
      isSide,
      via: fc.constantFrom('manager', 'outer scope', 'own scope'),
    }),
    step(3, 'await', { which, other: which, form: fc.constantFrom(...AWAITING), isSide }),
    step(2, 'settle', { which, how: fc.constantFrom('value', 'thrown') }),
    step(4, 'end', { which, throws: fc.boolean() }),
    step(1, 'abort', { which }),
    step(2, 'pass', { turns: fc.integer({ min: 1, max: 3 }) }),
    step(2, 'race', {
      end: which,
      against: fc.constantFrom('abort', 'time'),
      which,
      microtasks: fc.nat(16),
    }),
  )
}

function programOf(
  onHold: fc.Arbitrary<Demand['onHold']>,
  form: fc.Arbitrary<Form>,
): fc.Arbitrary<Program> {
  return fc.record({
    deadlockAfterMs: fc.constantFrom(0, 4),
    deadlockVictims: fc.constantFrom('proved' as const, 'proved' as const, 'likely' as const),
    steps: fc.array(stepOf(demandOf(onHold), form), { minLength: 4, maxLength: 24 }),
  })
}

/** A program without guards. */
export const program: fc.Arbitrary<Program> = programOf(onHold, form)
/** A program with some guards. */
export const programWithGuards: fc.Arbitrary<Program> = programOf(onHoldOrGuard, provingForm)
