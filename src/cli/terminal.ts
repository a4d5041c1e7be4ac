/** Text for a terminal: its width, emphasis, and numbers as people read them. */

import { styleText } from 'node:util'

type Style = Parameters<typeof styleText>[0]

/** How many columns a stream has; no limit where it is no terminal. */
export function widthOf(stream: NodeJS.WriteStream): number {
  if (!stream.isTTY) return Number.POSITIVE_INFINITY
  return stream.columns > 0 ? stream.columns : 80
}

/** The text in lines of at most the width, or 100 columns. */
export function wrap(text: string, width: number): string {
  const most = Math.min(Math.max(width - 1, 20), 100)
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > most) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].join('\n')
}

/** Emphasised. */
export function strong(text: string): string {
  return paint('bold', text)
}

/** Coloured on a terminal, unless NO_COLOR is set. */
export function paint(style: Style, text: string): string {
  const plain = !process.stdout.isTTY || (process.env.NO_COLOR ?? '') !== ''
  return plain ? text : styleText(style, text)
}

/** How many columns a text takes. */
export function plainWidth(text: string): number {
  return text.replace(/\u001b\[[0-9;]*m/g, '').length
}

/** A number with commas between its thousands. */
export function count(value: number): string {
  return value.toLocaleString('en-US')
}
