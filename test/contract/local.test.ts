/** Runs the contract of backends on the local backend. */

import { LocalBackend } from '../../src/backends/local/local-backend.ts'
import { contractOf } from './contract.ts'

contractOf({ name: 'local', make: () => new LocalBackend() })
