/** Locks in a shared WebAssembly memory, taken by the kernel. */

import { describeTables } from './contract.ts'

describeTables('wasm')
