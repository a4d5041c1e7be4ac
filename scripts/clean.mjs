/** Removes what the build and the tests made. */
// @ts-check
import { rmSync } from 'node:fs'

for (const path of ['dist', 'coverage', 'src/bank/teller-code.ts']) {
  rmSync(new URL(`../${path}`, import.meta.url), { recursive: true, force: true })
}
