/** Writes the balances file: completely or not at all. */

import { randomUUID } from 'node:crypto'
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { stringify } from 'csv-stringify/sync'
import { formatCents } from '../bank/index.ts'
import { visible } from '../explain/index.ts'
import { InputError } from './errors.ts'

/**
 * Checks, before any work begins, that the file can be written. Returns the path to write: a link's target,
 * else the path itself.
 */
export function checkOutput(file: string, inputs: readonly string[]): string {
  const name = visible(file)
  if (file === '' || /[/\\]$/.test(file)) {
    throw new InputError(`--out needs the name of a file, found "${name}"`)
  }
  const present = statOf(file, name)
  if (present?.isDirectory())
    throw new InputError(`--out ${name}: expected a file, but this is a folder`)
  if (present && !present.isFile()) {
    throw new InputError(`--out ${name}: expected an ordinary file, not a device, pipe or socket`)
  }
  for (const input of inputs) {
    const other = statOf(input, name)
    if (present && other && present.dev === other.dev && present.ino === other.ino) {
      throw new InputError(`--out ${name}: expected another file than the input ${visible(input)}`)
    }
  }
  const target = present ? realpathSync(file) : file
  const folder = dirname(target)
  if (!statOf(folder, name)?.isDirectory()) {
    throw new InputError(
      `--out ${name}: there is no folder ${visible(folder)}: make it first, or use another`,
    )
  }
  return target
}

/** Returns the status of the file at a path, if there is one. Refuses a path that cannot be followed. */
function statOf(file: string, name: string): Stats | undefined {
  try {
    return statSync(file, { throwIfNoEntry: false })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new InputError(
      `--out ${name}: expected a path that can be followed, but the system says ${code}`,
    )
  }
}

/** Writes `account,balance` rows to a file that {@link checkOutput} allowed. */
export function writeBalances(
  file: string,
  names: readonly string[],
  balances: ArrayLike<number>,
): void {
  const rows = names.map((name, i) => [name, formatCents(balances[i] as number)])
  const text = stringify([['account', 'balance'], ...rows])
  const temporary = join(dirname(file), `.lockwise-${randomUUID()}.tmp`)
  try {
    // The new file keeps the permissions of the file that it replaces.
    const mode = statSync(file, { throwIfNoEntry: false })?.mode
    const descriptor = openSync(temporary, 'wx', mode)
    try {
      // The umask may have removed some permissions.
      if (mode !== undefined) fchmodSync(descriptor, mode)
      const bytes = Buffer.from(text)
      for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    renameSync(temporary, file)
  } catch (error) {
    remove(temporary)
    const { code } = error as NodeJS.ErrnoException
    throw new InputError(
      `--out ${visible(file)}: nothing was written, because the system says ${code}: use another file or folder`,
    )
  }
}

/** Removes a file; the error that made it useless says more than one of its removal. */
function remove(file: string): void {
  try {
    rmSync(file, { force: true })
  } catch {
    // Its path may be longer than the system allows.
  }
}
