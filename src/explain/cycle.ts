/**
 * Circles in a directed graph that exists only as a function: from a node to those it waits for.
 *
 * Cost, where nothing else is said: every node and edge that can be reached, once.
 */

/**
 * The shortest circle through `start`, beginning with it; the first of several in the order of `next`.
 * `undefined` if there is none.
 */
export function findCycle<Node>(
  start: Node,
  next: (node: Node) => Iterable<Node>,
): Node[] | undefined {
  return findPath(start, (node) => node === start, next)?.slice(0, -1)
}

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

/** All nodes on the ways from `start` to one of `ends`; `previous` is `next` backwards. */
export function nodesBetween<Node>(
  start: Node,
  ends: Iterable<Node>,
  next: (node: Node) => Iterable<Node>,
  previous: (node: Node) => Iterable<Node>,
): Set<Node> {
  const ahead = new Set([start])
  for (const node of ahead) for (const neighbour of next(node)) ahead.add(neighbour)
  const between = new Set<Node>()
  for (const end of ends) if (ahead.has(end)) between.add(end)
  for (const node of between) {
    for (const neighbour of previous(node)) if (ahead.has(neighbour)) between.add(neighbour)
  }
  return between
}

/**
 * Of the nodes that can be reached from some, those that are on a circle. Tarjan's strongly connected
 * components (1972), without recursion.
 */
export function nodesOnCycles<Node>(
  starts: Iterable<Node>,
  next: (node: Node) => Iterable<Node>,
): Set<Node> {
  const onCycles = new Set<Node>()
  /** The order in which nodes were found; of those whose component is complete, Infinity. */
  const found = new Map<Node, number>()
  const open: Node[] = []
  const visits: { node: Node; todo: Iterator<Node>; lowest: number }[] = []
  const visit = (node: Node): void => {
    visits.push({ node, todo: next(node)[Symbol.iterator](), lowest: found.size })
    found.set(node, found.size)
    open.push(node)
  }
  for (const start of starts) {
    if (!found.has(start)) visit(start)
    for (let at = visits.at(-1); at; at = visits.at(-1)) {
      const { value: neighbour, done } = at.todo.next()
      if (!done) {
        const order = found.get(neighbour)
        if (order === undefined) visit(neighbour)
        else at.lowest = Math.min(at.lowest, order)
        continue
      }
      visits.pop()
      const around = visits.at(-1)
      if (around) around.lowest = Math.min(around.lowest, at.lowest)
      if (at.lowest < (found.get(at.node) as number)) continue
      const component = open.splice(open.lastIndexOf(at.node))
      for (const node of component) {
        found.set(node, Number.POSITIVE_INFINITY)
        if (component.length > 1) onCycles.add(node)
      }
    }
  }
  return onCycles
}

function wayTo<Node>(end: Node, from: ReadonlyMap<Node, Node | undefined>): Node[] {
  const way: Node[] = []
  for (let node: Node | undefined = end; node !== undefined; node = from.get(node)) way.push(node)
  return way.reverse()
}
