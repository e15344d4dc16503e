import { type Command, command } from './command'
import { formatManPage } from './man'

/** The subcommand `man`; `tree` answers all subcommands, of which it is one. */
export const manCommand = (tree: () => readonly Command[]): Command =>
  command({
    name: 'man',
    group: 'This program',
    summary: 'print the manual page, in roff',
    hidden: true,
    examples: [
      { line: 'kubenet man > /usr/local/share/man/man8/kubenet.8', does: 'install the manual page' },
    ],
    run: () => {
      const page = formatManPage(tree())
      return { json: { page }, text: () => page }
    },
  })
