/** The local backend keeps the contract of backends. */

import { LocalBackend } from '../../src/backends/local/local-backend.ts'
import { contractOf } from './contract.ts'

contractOf({ name: 'local', make: () => new LocalBackend() })
