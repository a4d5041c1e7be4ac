/** Optional access to the runtime's modules. Nothing is imported, because browsers have no such modules. */

interface Runtime {
  readonly process?: { getBuiltinModule?(name: string): unknown }
}

/** Returns a module of the runtime, such as `node:util`; `undefined` where there is none. */
export function builtin<Module>(name: string): Module | undefined {
  try {
    return (globalThis as Runtime).process?.getBuiltinModule?.(name) as Module | undefined
  } catch {
    return undefined
  }
}
