/** Modules of the runtime, used where there are any: nothing is imported, for browsers have none. */

interface Runtime {
  readonly process?: { getBuiltinModule?(name: string): unknown }
}

/** A module of the runtime, such as `node:util`; `undefined` where there is none. */
export function builtin<Module>(name: string): Module | undefined {
  try {
    return (globalThis as Runtime).process?.getBuiltinModule?.(name) as Module | undefined
  } catch {
    return undefined
  }
}
