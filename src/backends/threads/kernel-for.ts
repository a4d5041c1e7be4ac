/** The choice of an owner's kernel. */

import { atomicsKernel } from './atomics-kernel.ts'
import type { Kernel } from './kernel.ts'
import { HEADER, SLOT } from './layout.ts'
import type { Owner } from './owners.ts'
import { reentrantKernel } from './reentrant-kernel.ts'
import type { Table } from './table.ts'
import { wasmKernel } from './wasm-kernel.ts'

/** The kernel that suits this engine and this memory. */
export function kernelFor(table: Table, owner: Owner): Kernel {
  const { layout, wasm, words } = table
  const setting = {
    me: owner.me,
    top: owner.slot + SLOT.top,
    ascending: layout.order === 'ascending' ? -1 : 0,
    sleepCount: HEADER.sleepCount,
    base: layout.locksBase,
    stride: layout.lockStride,
    last: layout.lockCount - 1,
    stripes: layout.lockCount === layout.count ? 0 : layout.lockCount,
  }
  // JavaScriptCore inlines Atomics, which is as fast and saves the calls into WebAssembly.
  const kernel =
    wasm === undefined || 'Bun' in globalThis
      ? atomicsKernel(words, setting)
      : wasmKernel(wasm as WebAssembly.Memory, setting)
  return layout.reentrant ? reentrantKernel(kernel, words, setting) : kernel
}
