/** Formats text for a terminal: width, emphasis, and numbers. */

import { styleText } from 'node:util'

type Style = Parameters<typeof styleText>[0]

/** The width of a stream in columns; infinite if it is no terminal. */
export function widthOf(stream: NodeJS.WriteStream): number {
  if (!stream.isTTY) return Number.POSITIVE_INFINITY
  return stream.columns > 0 ? stream.columns : 80
}

/** Wraps a text at the width, or at 100 columns if that is less. */
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

/** Emphasises a text. */
export function strong(text: string): string {
  return paint('bold', text)
}

/** Styles a text if stdout is a terminal and NO_COLOR is not set. */
export function paint(style: Style, text: string): string {
  const plain = !process.stdout.isTTY || (process.env.NO_COLOR ?? '') !== ''
  return plain ? text : styleText(style, text)
}

/** The number of columns that a text takes, without its escape sequences. */
export function plainWidth(text: string): number {
  return text.replace(/\u001b\[[0-9;]*m/g, '').length
}

/** Formats a number with commas between its thousands. */
export function count(value: number): string {
  return value.toLocaleString('en-US')
}
