/**
 * Ways in a directed graph that exists only as a function: from a node to those it waits for. One that
 * leads from a node to those who wait for it closes a cycle.
 *
 * Cost, where nothing else is said: every node and edge that can be reached, once.
 */

/**
 * The shortest way of at least one step from `start` to a node that `isEnd`: all nodes on it. The first
 * of several in the order of `next`.
 */
export function findPath<Node>(
  start: Node,
  isEnd: (node: Node) => boolean,
  next: (node: Node) => Iterable<Node>,
): Node[] | undefined {
  const from = new Map<Node, Node | undefined>([[start, undefined]])
  for (const node of from.keys()) {
    for (const neighbour of next(node)) {
      if (isEnd(neighbour)) return [...wayTo(node, from), neighbour]
      if (!from.has(neighbour)) from.set(neighbour, node)
    }
  }
  return undefined
}

/**
 * Whether a way of at least one step leads from `start` to one of `ends`. Looked for from both sides in
 * turn, `previous` being `next` backwards. Cost: twice that of the side that has less to look at.
 */
export function isJoined<Node>(
  start: Node,
  ends: Iterable<Node>,
  next: (node: Node) => Iterable<Node>,
  previous: (node: Node) => Iterable<Node>,
): boolean {
  const ahead = new Set([start])
  const behind = new Set(ends)
  let side = { todo: behind.values(), found: behind, others: ahead, step: previous }
  let other = { todo: ahead.values(), found: ahead, others: behind, step: next }
  for (;;) {
    const { value: node, done } = side.todo.next()
    if (done) return false
    for (const neighbour of side.step(node)) {
      if (side.others.has(neighbour)) return true
      side.found.add(neighbour)
    }
    ;[side, other] = [other, side]
  }
}

/** Whether a node that `isEnd` can be reached from one. `known` says so of some nodes, and learns. */
export function canReach<Node>(
  start: Node,
  isEnd: (node: Node) => boolean,
  next: (node: Node) => Iterable<Node>,
  known: Map<Node, boolean>,
): boolean {
  const isThere = (node: Node): boolean => known.get(node) ?? isEnd(node)
  if (isThere(start)) return true
  const found = new Set([start])
  for (const node of found) {
    if (known.has(node)) continue
    for (const neighbour of next(node)) {
      if (isThere(neighbour)) {
        known.set(start, true)
        return true
      }
      found.add(neighbour)
    }
  }
  for (const node of found) known.set(node, false)
  return false
}

/** Some nodes, and all that can be reached from them. */
export function reachable<Node>(
  starts: Iterable<Node>,
  next: (node: Node) => Iterable<Node>,
): Set<Node> {
  const reached = new Set(starts)
  for (const node of reached) for (const neighbour of next(node)) reached.add(neighbour)
  return reached
}

function wayTo<Node>(end: Node, from: ReadonlyMap<Node, Node | undefined>): Node[] {
  const way: Node[] = []
  for (let node: Node | undefined = end; node !== undefined; node = from.get(node)) way.push(node)
  return way.reverse()
}
