import { type Command, command, required } from '../../node/command/command'
import { usageError } from '../../node/command/failure'
import { formatBashCompletion } from './bash'
import { formatFishCompletion } from './fish'
import { formatZshCompletion } from './zsh'

const shells: Record<string, (commands: readonly Command[]) => string> = {
  bash: formatBashCompletion,
  fish: formatFishCompletion,
  zsh: formatZshCompletion,
}

/** The subcommand `completion`; `tree` answers all subcommands, of which it is one. */
export const completionCommand = (tree: () => readonly Command[]): Command =>
  command({
    name: 'completion',
    group: 'This program',
    summary: 'print the script for completion of commands, options and networks',
    args: { shell: required(`one of ${Object.keys(shells).join(', ')}`, Object.keys(shells)) },
    examples: [
      { line: 'source <(kubenet completion bash)', does: 'in this shell' },
      { line: 'kubenet completion bash > /etc/bash_completion.d/kubenet', does: 'in every bash' },
      { line: 'kubenet completion zsh > /usr/local/share/zsh/site-functions/_kubenet', does: 'in every zsh' },
    ],
    run: ({ args: { shell } }) => {
      const format = shells[shell]
      if (!format)
        throw usageError(
          `unknown shell ${JSON.stringify(shell)}`,
          `known are ${Object.keys(shells).join(', ')}`,
        )
      const script = format(tree().filter(({ hidden }) => !hidden))
      return { json: { shell, script }, text: () => script }
    },
  })
