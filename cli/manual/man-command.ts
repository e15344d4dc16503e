import { type Command, command } from '../../node/command/command'
import { flag } from '../../node/command/option'
import { formatManPage } from './man'
import { formatMarkdown } from './markdown'

/** The subcommand `man`; `tree` answers all subcommands, of which it is one. */
export const manCommand = (tree: () => readonly Command[]): Command =>
  command({
    name: 'man',
    group: 'This program',
    summary: 'print the manual page, in roff',
    hidden: true,
    options: { markdown: flag('print the Markdown reference of docs/cli.md instead') },
    examples: [
      { line: 'kubenet man > /usr/local/share/man/man8/kubenet.8', does: 'install the manual page' },
    ],
    run: ({ options: { markdown } }) => {
      const page = markdown ? formatMarkdown(tree()) : formatManPage(tree())
      return { json: { page }, text: () => page }
    },
  })
