/**
 * Turns off V8's async stack traces, which prove waits, so that tests on Node and Deno run as on Bun, Firefox
 * and Safari. Import it before the manager, which probes its runtime only once.
 */

import { setFlagsFromString } from 'node:v8'

// Bun has neither the flag nor the traces.
if (!('Bun' in globalThis)) setFlagsFromString('--no-async-stack-traces')
