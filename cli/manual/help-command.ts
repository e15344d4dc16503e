import { type Command, command, optional } from '../../node/command/command'
import { usageError } from '../../node/command/failure'
import { formatCommandHelp, formatHelp } from '../../node/command/help'

/** The subcommand `help`; `tree` answers all subcommands, of which it is one. */
export const helpCommand = (tree: () => readonly Command[]): Command =>
  command({
    name: 'help',
    group: 'This program',
    summary: 'explain a command',
    args: { command: optional('the command') },
    examples: [{ line: 'kubenet help gc', does: 'explain gc and its options' }],
    run: ({ args }) => {
      const commands = tree()
      const found = commands.find(({ name }) => name === args.command)
      if (args.command !== undefined && !found) {
        throw usageError(`unknown command ${JSON.stringify(args.command)}`, '"kubenet help" lists them')
      }
      const shown = found ? [found] : commands.filter(({ hidden }) => !hidden)
      return {
        json: { commands: shown.map(describe) },
        text: style => (found ? formatCommandHelp(found, style) : formatHelp(commands, style)),
      }
    },
  })

const describe = ({ name, group, summary, about, args, options, examples }: Command) => ({
  name,
  group,
  summary,
  about,
  args: args.map(({ name: arg, required, summary: does }) => ({ name: arg, required, summary: does })),
  options: options.map(({ name: option, short, placeholder, summary: does, defaultText }) => ({
    name: option,
    ...(short && { short: `-${short}` }),
    ...(placeholder !== undefined && { value: placeholder }),
    ...(defaultText !== undefined && { default: defaultText }),
    summary: does,
  })),
  examples,
})
