/** The kernel in WebAssembly: kernel.wat, instantiated over the table's memory with an owner's settings. */

import { LockUsageError } from '../../core/errors.ts'
import type { Kernel, KernelSetting } from './kernel.ts'
import { kernelCode, kernelOffsets } from './kernel-code.ts'
import { PAGE_BYTES } from './layout.ts'

/** A new shared memory that never grows, and so never moves. */
export function createWasmMemory(bytes: number): WebAssembly.Memory {
  const pages = bytes / PAGE_BYTES
  if (!hasWebAssembly()) {
    throw new LockUsageError(
      "there is no WebAssembly here (as under node --jitless): create the table with memory: 'buffer'",
    )
  }
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
  } catch {
    throw noMemoryFor(bytes)
  }
}

/** Whether this runtime has WebAssembly. */
export function hasWebAssembly(): boolean {
  return typeof WebAssembly === 'object'
}

/** The error if the memory for a table is not available. */
export function noMemoryFor(bytes: number): LockUsageError {
  return new LockUsageError(
    `the system has no shared memory left for a table of ${bytes} bytes: create a smaller one (count, ` +
      'recordBytes, owners), or drop tables that nothing uses any more',
  )
}

/** The kernel of one owner. */
export function wasmKernel(memory: WebAssembly.Memory, setting: KernelSetting): Kernel {
  const code = decodeBase64(kernelCode)
  for (const [name, offsets] of Object.entries(kernelOffsets)) {
    for (const offset of offsets) writeNumber(code, offset, setting[name as keyof KernelSetting])
  }
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), {
    lockwise: { memory },
  })
  const made = exports as unknown as Kernel & { readonly unlock2TotalStoreOrder: Kernel['unlock2'] }
  return hasTotalStoreOrder() ? { ...made, unlock2: made.unlock2TotalStoreOrder } : made
}

/** Writes a number as signed LEB128 of five bytes. */
function writeNumber(code: Uint8Array, offset: number, value: number): void {
  for (let i = 0; i < 4; i++) code[offset + i] = ((value >> (7 * i)) & 0x7f) | 0x80
  code[offset + 4] = (value >> 28) & 0x7f
}

/** True only where the processor is known to be an x86. */
function hasTotalStoreOrder(): boolean {
  const { process } = globalThis as { readonly process?: { readonly arch?: string } }
  return process?.arch === 'x64' || process?.arch === 'ia32'
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}
