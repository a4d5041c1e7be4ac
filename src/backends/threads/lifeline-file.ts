/**
 * The second method of lifelines.ts: a worker's unnamed file, which the system closes when the worker ends.
 */

/** The functions of `node:fs` that a lifeline's file needs. */
export interface DescriptorSystem {
  openSync(path: string, flags: string): number
  closeSync(descriptor: number): void
  unlinkSync(path: string): void
  ftruncateSync(descriptor: number, length: number): void
  fstatSync(descriptor: number): FileStatus
}

interface FileStatus {
  readonly ino: number
  readonly mtimeMs: number
  readonly size: number
}

/** A lifeline that is a file (lifelines.ts). */
interface FileLifeline {
  readonly kind: number
  readonly number: number
  readonly made: number
}

/** The maximum length of a lifeline's file. Only a file system without sparse files uses that much space. */
const MAX_FILE_BYTES = 2 ** 20
/** A number far above all descriptors that a process can have. */
const NO_DESCRIPTOR = 2 ** 31 - 1

const { process } = globalThis as {
  readonly process?: { readonly pid: number; emitWarning: unknown }
}

/**
 * Whether Node closes this worker's files when it ends (`trackUnmanagedFds`). Node then calls
 * `process.emitWarning` when a descriptor that it does not know is closed.
 */
export function closesFiles(fs: DescriptorSystem): boolean {
  if (!process) return false
  const original = process.emitWarning
  let isReported = false
  try {
    process.emitWarning = () => {
      isReported = true
    }
    try {
      fs.closeSync(NO_DESCRIPTOR)
    } finally {
      process.emitWarning = original
    }
  } catch {
    // No such descriptor is open.
  }
  return isReported
}

/** Opens a file of this worker in a folder; returns `undefined` if it cannot. */
export function openFile(fs: DescriptorSystem, folder: string): FileLifeline | undefined {
  try {
    const path = `${folder}/lockwise-${process?.pid}-${Math.random()}-${Math.random()}`
    const descriptor = fs.openSync(path, 'wx')
    fs.unlinkSync(path)
    fs.ftruncateSync(descriptor, Math.floor(Math.random() * MAX_FILE_BYTES))
    const status = fs.fstatSync(descriptor)
    return { kind: descriptor + 1, number: status.ino, made: markOf(status) }
  } catch {
    return undefined
  }
}

/** One number for the time and the length of a file. */
function markOf({ mtimeMs, size }: FileStatus): number {
  return mtimeMs + size
}

/** Whether the system has closed the file of a lifeline. */
export function isFileClosed(fs: DescriptorSystem, { kind, number, made }: FileLifeline): boolean {
  try {
    const status = fs.fstatSync(kind - 1)
    return status.ino !== number || markOf(status) !== made
  } catch (error) {
    return hasCode(error, 'EBADF')
  }
}

/** Whether an error of the system has one of these codes. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes((error as { readonly code?: string } | null)?.code ?? '')
}
