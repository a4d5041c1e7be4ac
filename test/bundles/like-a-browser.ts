/**
 * Runs a bundle in a context that has the globals of JavaScript and the web but none of Node, and exits once
 * the bundle has written its line: `node --experimental-vm-modules like-a-browser.js FILE esm|iife`.
 */

import { readFileSync } from 'node:fs'
import vm from 'node:vm'

const WEB = [
  'AbortController',
  'AbortSignal',
  'DOMException',
  'Event',
  'EventTarget',
  'MessageChannel',
  'TextDecoder',
  'TextEncoder',
  'URL',
  'atob',
  'btoa',
  'clearInterval',
  'clearTimeout',
  'crypto',
  'performance',
  'queueMicrotask',
  'setInterval',
  'setTimeout',
  'structuredClone',
]

const [, , file = '', format] = process.argv
const globals = Object.fromEntries(
  WEB.map((name) => {
    const value: unknown = Reflect.get(globalThis, name)
    const isFunction = typeof value === 'function' && value.prototype === undefined
    return [name, isFunction || isTimer(name) ? ofWindow(value as () => unknown) : value]
  }),
)
const context = vm.createContext({ ...globals, console: { log: writeAndEnd, warn: console.warn } })
vm.runInContext('globalThis.self = globalThis', context)
const code = readFileSync(file, 'utf8')
if (format === 'iife') vm.runInContext(code, context)
else {
  const bundle = new vm.SourceTextModule(code, { context })
  await bundle.link((specifier) => {
    throw new Error(`a bundle for browsers imports ${specifier}`)
  })
  await bundle.evaluate()
}

function isTimer(name: string): boolean {
  return /^(set|clear)/.test(name)
}

/** Makes a function throw, as a browser's own do, when it is called as a method of another object. */
function ofWindow(own: (...args: unknown[]) => unknown): (...args: unknown[]) => unknown {
  return function (this: unknown, ...args: unknown[]) {
    if (this !== undefined && this !== vm.runInContext('globalThis', context)) {
      throw new TypeError('Illegal invocation')
    }
    return own(...args)
  }
}

/** Exits because a browser's page does not end by itself either. */
function writeAndEnd(text: string): void {
  process.stdout.write(`${text}\n`, () => process.exit())
}
