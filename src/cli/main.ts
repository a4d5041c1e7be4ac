#!/usr/bin/env node
/** The command line: `lockwise bank`. errors.ts has the exit statuses. */

import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { visible } from '../explain/index.ts'
import { LockUsageError } from '../index.ts'
import { bankCommand } from './bank-command.ts'
import { EXIT, InputError } from './errors.ts'

// A reader that closes the pipe early (such as head) is no error: the work and its exit status go on.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return
    if (stream === process.stdout) {
      process.stderr.write(
        `lockwise: the output could not be written, because the system says ${error.code}: write it elsewhere\n`,
      )
    }
    process.exit(EXIT.badInput)
  })
}

const { version } = JSON.parse(
  readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'),
) as { version: string }

const program = new Command('lockwise')
  .description('Locks that are taken many at once and always in one order.')
  .version(version)
  .exitOverride()
  .configureOutput({ writeErr: () => {} })
program.addCommand(bankCommand((status) => (process.exitCode = status)))

try {
  if (process.argv.length < 3) {
    program.outputHelp()
    process.exitCode = EXIT.badInput
  } else await program.parseAsync()
} catch (error) {
  process.exitCode = report(error)
}

/** Reports an error in one line, and returns the exit status. */
function report(error: unknown): number {
  if (error instanceof CommanderError && error.exitCode === 0) return EXIT.done
  if (
    error instanceof CommanderError ||
    error instanceof InputError ||
    error instanceof LockUsageError
  ) {
    // Commander's message for `help` with an unknown command.
    const asked =
      error.message === '(outputHelp)' ? `unknown command '${process.argv[3]}'` : undefined
    const message = visible(
      (asked ?? error.message)
        .trim()
        .replace(/^error: /, '')
        .replaceAll('\n', ' '),
    )
    process.stderr.write(`lockwise: ${message}${helpFor(message)}\n`)
    return EXIT.badInput
  }
  throw error
}

/** Where to look for an unknown word, if commander does not suggest another. */
function helpFor(message: string): string {
  const [, what] = /^unknown (command|option) '[^']*'$/.exec(message) ?? []
  return what === undefined ? '' : `: --help lists the ${what}s`
}
