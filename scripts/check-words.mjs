/**
 * Checks the project's wording: words that the field does not use, and comments that open with a word before
 * their subject. Prints `path:line: word: use …`.
 *
 * Cost: a fifth of a second for the whole project.
 */
// @ts-check
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/**
 * @typedef {object} Rule
 * @property {RegExp} not the forbidden words; `g` is set
 * @property {RegExp} [but] allowed phrases that contain them
 * @property {string} use the words to write instead
 * @property {readonly string[]} samples lines that break the rule
 */

/** @type {readonly Rule[]} */
export const RULES = [
  {
    not: /circles?/gi,
    use: 'cycle',
    samples: ['// It closes a circle.', 'const circle = 1'],
  },
  {
    not: /\bways?\b/gi,
    but: /\b(in|on) ((the|a|its|their|his|her|whose|\w+[’']s?) )+way\b|\b(under|either|this|same|no|one|other|by) ways?\b/gi,
    use: 'path (a way to do something: say what is done)',
    samples: ['// The way from a to b.'],
  },
  {
    not: /\b(told|tells?|telling)\b/gi,
    use: 'report, say, show, distinguish',
    samples: ['// The listener is told of it.', '// It tells the holder.'],
  },
  {
    not: /\b(frees|freed|freeing|(to|and|or|can|must|then|will|cannot|that|who) free (an?|the|its|their|it|them|all|both|what|every|one|two)\b)/gi,
    use: 'release, unlock',
    samples: ['// It frees the lock.', '// Asks it to free the lock.'],
  },
  {
    not: /\b(robbed|thefts?)\b/gi,
    use: 'stolen, steal',
    samples: ['// A theft.', 'const robbed = 1'],
  },
  {
    not: /\balone\b/gi,
    use: 'exclusively, only, by itself',
    samples: ['// It holds the lock alone.'],
  },
  {
    not: /claim/gi,
    use: 'queued request, table lock, pending writer, registered owner',
    samples: ['// It gives up its claim.', 'const tableClaim = 1'],
  },
  {
    not: /\bstands? behind\b|standsBehind|\blets? (\w+ ){0,3}pass\b|\bpassing\b/gi,
    but: /\bpassing (an?|the|arguments)\b/gi,
    use: 'waits behind, rearranges the wait queue',
    samples: [
      '// It stands behind a writer.',
      '// It lets readers pass.',
      '// Passing is allowed.',
    ],
  },
  {
    not: /\bWatch\b/g,
    use: 'DeadlockDetector',
    samples: ['class Watch {}'],
  },
  {
    not: /\b(stand(s|ing)?|stood) back\b|\bnap(s|ped|ping)?\b|\bhot\b/gi,
    but: /\bhot (path|loop)s?\b/gi,
    use: 'back off, sleep briefly, contended',
    samples: ['// It stands back.', '// A nap.', '// A hot lock.'],
  },
  {
    not: /\bheirs?\b|\bsound(ly|ness)?\b/gi,
    use: 'recovering owner, consistent',
    samples: ['// Its heir.', '// The data is sound.'],
  },
  {
    not: /\b(keep)?places?(Of|At|With)?\b/gi,
    but: /\b(in place of|in place|takes? place|places? in (an?|the|its|their|one|each|both|every) (wait )?(queue|list|order|row)s?)\b/gi,
    use: 'call site (or name the thing)',
    samples: ['// The place of a request.', 'const { places } = options'],
  },
  {
    not: /\bwish(es|ed)?\b|\b(an?|its|their|each|this|that|const|let) wants?\b(?! (to|a|the|it|them|more|no|nothing|what|other|another))/gi,
    use: 'request',
    samples: ['// It wishes for a lock.', '// Their want.'],
  },
  {
    not: /\bdear(er|est)?\b/gi,
    use: 'expensive',
    samples: ['// That is dear.'],
  },
  {
    not: /\bfor ever\b/gi,
    use: 'forever',
    samples: ['// It waits for ever.'],
  },
  {
    not: /\b(whoever|whomever|whom)\b/gi,
    use: 'the thread that …, the request that …',
    samples: ['// Whoever holds it.', '// For whom it waits.'],
  },
  {
    not: /\bnobody[’']s\b/gi,
    use: 'has no holder',
    samples: ['// The lock is nobody’s.'],
  },
  {
    not: /\b(MOST|LONGEST|LARGEST)(_[A-Z_]+)?\b/g,
    use: 'MAX_',
    samples: ['const MOST_NAMES = 1'],
  },
]

/** The words that must not open a sentence, because they delay its subject; a question may. */
const OPENING = /(?:^|[.!?:] )(Of|Who|Whom|Whoever|What)\b(?=[^.!?]*(.|$))/g

/** @typedef {{ readonly line: number, readonly word: string, readonly use: string }} Finding */

/**
 * Returns the findings in one file.
 * @param {string} path
 * @param {string} text
 * @returns {Finding[]}
 */
export function check(path, text) {
  const lines = text.split('\n')
  const findings = lines.flatMap((content, index) =>
    RULES.flatMap((rule) =>
      wordsIn(content, rule).map((word) => ({ line: index + 1, word, use: rule.use })),
    ),
  )
  const sentences = path.endsWith('.md') ? paragraphsOf(lines) : commentsOf(lines)
  for (const { line, text } of sentences) {
    for (const [, word = '', end] of text.matchAll(OPENING)) {
      if (end !== '?') findings.push({ line, word, use: 'the subject first' })
    }
  }
  return findings.sort((a, b) => a.line - b.line)
}

/**
 * @param {string} content
 * @param {Rule} rule
 */
function wordsIn(content, { not, but }) {
  const allowed = but ? content.replace(but, (words) => ' '.repeat(words.length)) : content
  return [...allowed.matchAll(not)].map(([word]) => word)
}

/**
 * Returns the comments of a program, each with its lines joined, without comment signs.
 * @param {readonly string[]} lines
 */
function commentsOf(lines) {
  /** @type {{ line: number, text: string }[]} */
  const comments = []
  let isOpen = false
  for (const [index, content] of lines.entries()) {
    const comment = /^\s*(\/\*\*?|\*\/|\*|\/\/|;;)\s?(.*)$/.exec(content)
    if (comment === null) {
      isOpen = false
      continue
    }
    const text = (comment[2] ?? '').replace(/\s*\*\/$/, '').trim()
    const last = comments.at(-1)
    if (isOpen && last && text !== '') last.text += ` ${text}`
    else if (text !== '') comments.push({ line: index + 1, text })
    isOpen = text !== ''
  }
  return comments
}

/**
 * Returns the paragraphs of a page, without its programs and tables.
 * @param {readonly string[]} lines
 */
function paragraphsOf(lines) {
  /** @type {{ line: number, text: string }[]} */
  const paragraphs = []
  let isProgram = false
  for (const [index, content] of lines.entries()) {
    if (content.startsWith('```')) isProgram = !isProgram
    else if (!isProgram && !content.startsWith('|')) {
      paragraphs.push({ line: index + 1, text: content.replace(/^[\s#*>-]+/, '') })
    }
  }
  return paragraphs
}

/** The files to check, except those that list the words or are generated. */
const CHECKED = /\.(ts|mjs|js|wat|md)$/
const EXEMPT = [
  'scripts/check-words.mjs',
  'test/scripts/check-words.test.ts',
  'src/bank/teller-code.ts',
]

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = new URL('../', import.meta.url)
  const { stdout } = spawnSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' })
  const only = process.argv.slice(2)
  const paths = stdout
    .split('\n')
    .filter((path) => CHECKED.test(path) && !EXEMPT.includes(path))
    .filter((path) => only.length === 0 || only.some((part) => path.includes(part)))
  let count = 0
  for (const path of paths) {
    for (const { line, word, use } of check(path, readFileSync(new URL(path, root), 'utf8'))) {
      console.log(`${path}:${line}: ${word}: use ${use}`)
      count++
    }
  }
  console.log(`${paths.length} files, ${count} findings`)
  process.exitCode = count === 0 ? 0 : 1
}
