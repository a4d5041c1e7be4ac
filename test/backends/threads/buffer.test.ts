/** Locks in a plain SharedArrayBuffer, which `Atomics` takes. */

import { describeTables } from './contract.ts'

describeTables('buffer')
