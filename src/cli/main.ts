#!/usr/bin/env node
/** The command line: `lockwise bank`. Exit statuses stand in errors.ts. */

import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { bankCommand } from './bank-command.ts'
import { EXIT, InputError } from './errors.ts'

// A reader that has seen enough (such as head) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.done)
  throw error
})

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

/** Says in one line what went wrong, and with what status to end. */
function report(error: unknown): number {
  if (error instanceof CommanderError && error.exitCode === 0) return EXIT.done
  if (error instanceof CommanderError || error instanceof InputError) {
    const message = error.message.replace(/^error: /, '').replaceAll('\n', ' ')
    process.stderr.write(`lockwise: ${message}\n`)
    return EXIT.badInput
  }
  throw error
}
