/**
 * Two HTTP handlers that take two guards in opposite order.
 *
 *   node examples/two-handlers.mjs owner    each request is an owner: one is rejected, the other answers
 *   node examples/two-handlers.mjs          nothing says which guards belong together: both hang, and the
 *                                           report of the long wait names both lines
 */
import { createServer } from 'node:http'
import { isLockwiseError, LockManager } from 'lockwise'

const hasOwner = process.argv[2] === 'owner'
const locks = new LockManager({ deadlockAfterMs: 100, longWaitMs: 200 })
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

async function pay(owner) {
  const account = await locks.acquire('account:7', { owner, label: 'pay' })
  try {
    await pause(20)
    const ledger = await locks.acquire('ledger', { owner, label: 'pay' })
    ledger.release()
  } finally {
    account.release()
  }
}

async function refund(owner) {
  const ledger = await locks.acquire('ledger', { owner, label: 'refund' })
  try {
    await pause(20)
    const account = await locks.acquire('account:7', { owner, label: 'refund' })
    account.release()
  } finally {
    ledger.release()
  }
}

const server = createServer(async (request, response) => {
  try {
    // The request itself is the owner of all that its handler takes.
    const owner = hasOwner ? request : undefined
    await (request.url === '/pay' ? pay(owner) : refund(owner))
    response.end('done')
  } catch (error) {
    response.statusCode = isLockwiseError(error) ? 409 : 500
    response.end(error.code ?? error.message)
  }
})

server.listen(0, '127.0.0.1', async () => {
  const url = `http://127.0.0.1:${server.address().port}`
  const limit = AbortSignal.timeout(1000)
  const get = async (path) => {
    const response = await fetch(url + path, { signal: limit })
    return `${path}: ${response.status} ${await response.text()}`
  }
  for (const { value, reason } of await Promise.allSettled([get('/pay'), get('/refund')])) {
    console.log(value ?? `no answer: ${reason.name}`)
  }
  server.closeAllConnections()
  server.close()
})
