/** Writes the balances: the whole file or nothing. */

import {
  closeSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { stringify } from 'csv-stringify/sync'
import { formatCents } from '../bank/index.ts'
import { visible } from '../explain/index.ts'
import { InputError } from './errors.ts'

/**
 * Checks, before anything is done, that a file can be written there: the path itself when it is a link,
 * otherwise what it points to.
 */
export function checkOutput(file: string, inputs: readonly string[]): string {
  const name = visible(file)
  const present = statSync(file, { throwIfNoEntry: false })
  if (present?.isDirectory())
    throw new InputError(`--out ${name}: expected a file, this is a folder`)
  if (present && !present.isFile()) throw new InputError(`--out ${name}: expected an ordinary file`)
  for (const input of inputs) {
    const other = statSync(input, { throwIfNoEntry: false })
    if (present && other && present.dev === other.dev && present.ino === other.ino) {
      throw new InputError(`--out ${name}: expected another file than the input ${visible(input)}`)
    }
  }
  const target = present ? realpathSync(file) : file
  const folder = dirname(target)
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw new InputError(`--out ${name}: there is no folder ${visible(folder)}`)
  }
  return target
}

/** Writes `account,balance` rows to a file that {@link checkOutput} allowed. */
export function writeBalances(
  file: string,
  names: readonly string[],
  balances: ArrayLike<number>,
): void {
  const rows = names.map((name, i) => [name, formatCents(balances[i] as number)])
  const text = stringify([['account', 'balance'], ...rows])
  const temporary = join(dirname(file), `.${basename(file)}.${process.pid}.tmp`)
  try {
    const descriptor = openSync(temporary, 'wx')
    try {
      const bytes = Buffer.from(text)
      for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    renameSync(temporary, file)
  } catch (error) {
    rmSync(temporary, { force: true })
    const { code } = error as NodeJS.ErrnoException
    throw new InputError(`--out ${visible(file)}: nothing was written, the system says ${code}`)
  }
}
