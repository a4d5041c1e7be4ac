/**
 * Paths in a directed graph that is given by a function: from a node to the nodes that it waits for. A path
 * from a node to one of its waiters closes a cycle.
 *
 * Cost, unless stated otherwise: each reachable node and edge once.
 */

/**
 * Returns the nodes on the shortest path of at least one step from `start` to a node that `isEnd`. If several
 * are shortest, the order of `next` decides.
 */
export function findPath<Node>(
  start: Node,
  isEnd: (node: Node) => boolean,
  next: (node: Node) => Iterable<Node>,
): Node[] | undefined {
  const from = new Map<Node, Node | undefined>([[start, undefined]])
  for (const node of from.keys()) {
    for (const neighbour of next(node)) {
      if (isEnd(neighbour)) return [...pathTo(node, from), neighbour]
      if (!from.has(neighbour)) from.set(neighbour, node)
    }
  }
  return undefined
}

/**
 * Whether a path of at least one step leads from `start` to one of `ends`. Searches from both sides in turn;
 * `previous` is `next` backwards. Cost: twice that of the side with less to search.
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

/**
 * Whether a node that `isEnd` is reachable from `start`. `known` caches answers for nodes, and is extended.
 */
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

/** Returns `starts` and all nodes reachable from them. */
export function reachable<Node>(
  starts: Iterable<Node>,
  next: (node: Node) => Iterable<Node>,
): Set<Node> {
  const reached = new Set(starts)
  for (const node of reached) for (const neighbour of next(node)) reached.add(neighbour)
  return reached
}

function pathTo<Node>(end: Node, from: ReadonlyMap<Node, Node | undefined>): Node[] {
  const path: Node[] = []
  for (let node: Node | undefined = end; node !== undefined; node = from.get(node)) path.push(node)
  return path.reverse()
}
