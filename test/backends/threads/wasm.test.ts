/** Locks in a shared WebAssembly memory, which the kernel takes. */

import { describeTables } from './contract.ts'

describeTables('wasm')
