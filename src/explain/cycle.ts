/**
 * Circles in a directed graph that exists only as a function: from a node to those it waits for.
 *
 * Breadth first, so that the shortest circle is found; the first of several of the same length in the
 * order of `next`. Cost: every node and edge that can be reached, once.
 */

/** The shortest circle through `start`, beginning with it; `undefined` if there is none. */
export function findCycle<Node>(
  start: Node,
  next: (node: Node) => Iterable<Node>,
): Node[] | undefined {
  return findPath(start, (node) => node === start, next)?.slice(0, -1)
}

/** The shortest way of at least one step from `start` to a node that `isEnd`: all nodes on it. */
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

/** Whether a node that `isEnd` can be reached; nodes in `known` are no way, and are added to. */
export function canReach<Node>(
  start: Node,
  isEnd: (node: Node) => boolean,
  next: (node: Node) => Iterable<Node>,
  known: Set<Node>,
): boolean {
  if (isEnd(start)) return true
  if (known.has(start)) return false
  const found = new Set([start])
  for (const node of found) {
    for (const neighbour of next(node)) {
      if (isEnd(neighbour)) return true
      if (!known.has(neighbour)) found.add(neighbour)
    }
  }
  for (const node of found) known.add(node)
  return false
}

function wayTo<Node>(end: Node, from: ReadonlyMap<Node, Node | undefined>): Node[] {
  const way: Node[] = []
  for (let node: Node | undefined = end; node !== undefined; node = from.get(node)) way.push(node)
  return way.reverse()
}
