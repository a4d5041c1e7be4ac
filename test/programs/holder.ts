/** The code of a holder: its callback takes commands, and so does a branch that the callback never awaits. */

/** The next step of a callback. `run` never rejects; `ask` may. */
export type Command =
  | { readonly do: 'end'; readonly how: 'value' | 'thrown' }
  | { readonly do: 'run'; readonly run: () => unknown }
  | { readonly do: 'await'; readonly ask: () => Promise<unknown> }
  | { readonly do: 'return'; readonly ask: () => Promise<unknown> }

/** The error that callbacks throw on command. */
export class Thrown extends Error {}

/** Commands, first in, first out, for one reader. */
export class Mailbox {
  readonly #commands: Command[] = []
  #wake: (() => void) | undefined

  put(command: Command): void {
    this.#commands.push(command)
    this.#wake?.()
    this.#wake = undefined
  }

  async next(): Promise<Command> {
    if (this.#commands.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.#commands.shift() as Command
  }
}

/** Runs a callback. `side` gets commands that the callback does not wait for. */
export async function live(main: Mailbox, side: Mailbox): Promise<unknown> {
  void branch(side)
  for (;;) {
    const command = await main.next()
    if (command.do === 'end') {
      if (command.how === 'thrown') throw new Thrown()
      return undefined
    }
    if (command.do === 'return') return command.ask()
    if (command.do === 'run') await command.run()
    else {
      try {
        await command.ask()
      } catch {}
    }
  }
}

/** Runs the branch, which starts in the synchronous part of the callback and ends with the command to end. */
async function branch(side: Mailbox): Promise<void> {
  for (;;) {
    const command = await side.next()
    if (command.do === 'end') return
    void perform(command)
  }
}

async function perform(command: Command): Promise<void> {
  try {
    if (command.do === 'run') await command.run()
    else if (command.do !== 'end') await command.ask()
  } catch {}
}
