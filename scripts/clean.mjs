/** Removes the output of the build and of the tests. */
// @ts-check
import { rmSync } from 'node:fs'

for (const path of ['dist', 'coverage', 'src/bank/teller-code.ts']) {
  rmSync(new URL(`../${path}`, import.meta.url), { recursive: true, force: true })
}
