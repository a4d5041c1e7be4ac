/**
 * Takes from V8 the async stack traces that prove waits, so that tests find the state of Bun, Firefox and
 * Safari on Node and Deno too. Must be imported before the manager, which tries its runtime only once.
 */

import { setFlagsFromString } from 'node:v8'

// Bun has neither the flag nor the traces.
if (!('Bun' in globalThis)) setFlagsFromString('--no-async-stack-traces')
