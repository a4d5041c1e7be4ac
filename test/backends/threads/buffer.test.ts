/** Locks in a plain SharedArrayBuffer, taken by `Atomics`. */

import { describeTables } from './contract.ts'

describeTables('buffer')
