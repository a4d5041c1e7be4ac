/** The kernel in WebAssembly: kernel.wat, instantiated over the table's memory. */

import type { Kernel, KernelSetting } from './kernel.ts'
import { kernelCode } from './kernel-code.ts'
import { PAGE_BYTES } from './layout.ts'

/** What travels in a handle: a memory, and a module that any thread can instantiate over it. */
export interface WasmMemory {
  readonly memory: WebAssembly.Memory
  readonly module: WebAssembly.Module
}

let compiled: WebAssembly.Module | undefined

/** A new shared memory that never grows (and so never moves), with the compiled kernel. */
export function createWasmMemory(bytes: number): WasmMemory {
  const pages = bytes / PAGE_BYTES
  compiled ??= new WebAssembly.Module(decodeBase64(kernelCode))
  return {
    memory: new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }),
    module: compiled,
  }
}

/** The kernel of one owner. */
export function wasmKernel(wasm: WasmMemory, setting: KernelSetting): Kernel {
  const { exports } = new WebAssembly.Instance(wasm.module, {
    lockwise: { memory: wasm.memory, ...setting },
  })
  const made = exports as unknown as Kernel & { readonly unlock2TotalStoreOrder: Kernel['unlock2'] }
  return hasTotalStoreOrder() ? { ...made, unlock2: made.unlock2TotalStoreOrder } : made
}

/** True only where the processor is known to be an x86. */
function hasTotalStoreOrder(): boolean {
  const { process } = globalThis as { readonly process?: { readonly arch?: string } }
  return process?.arch === 'x64' || process?.arch === 'ia32'
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}
