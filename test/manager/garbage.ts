/** Garbage collection on request, on Node. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { settle, until } from '../waiting.ts'

setFlagsFromString('--expose-gc')

/** Collects all garbage. */
export const collectGarbage = runInNewContext('gc') as () => void

/** Collects garbage until a condition holds. */
export function collectUntil(isSo: () => boolean): Promise<void> {
  return until(async () => {
    collectGarbage()
    // Reports of the garbage are made in turns of the event loop.
    await settle()
    return isSo()
  })
}
