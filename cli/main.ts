/**
 * The node's command line: what kubelet's flags, cnitool and a shell script were for.
 *
 * To add a subcommand: define it in a file of its own (node/command/command.ts says how, version.ts is a short one) and
 * name it in commands.ts. Its `run` answers an object for --json and a text for people, or prints through `io` and
 * answers an exit code; what it throws becomes one line on standard error. Nothing in this folder is loaded when the
 * program is called as a plugin.
 */
import { platform } from '#platform'
import { ExitCode } from '../node/command/failure'
import { formatCommandHelp, formatHelp } from '../node/command/help'
import { type CliIo, processIo } from '../node/command/io'
import { commandOf, parseCommandLine } from '../node/command/parse'
import { printFailure, runCommand } from '../node/command/run'
import { styleOf } from '../node/command/style'
import type { BuiltIns } from '../src/cni/plugin'
import { answerCall } from '../src/cni/skel'
import { watchForInterrupts } from '../src/host/interrupt'
import { commands } from './commands'
import { refuseAgentContainer } from './frame/agent-container'
import { version } from './version'

/**
 * The text of the plugin on standard error when it is called without a verb: its version and those of CNI it speaks.
 */
type Introduction = () => Promise<string>

/** The text of every plugin called without a verb, and then the features of this one. */
const introduce = async (io: CliIo, introduction: Introduction): Promise<ExitCode> => {
  io.stderr(await introduction())
  io.stdout(formatHelp(commands, styleOf(io)))
  return ExitCode.done
}

const run = async (argv: readonly string[], io: CliIo, introduction: Introduction): Promise<ExitCode> => {
  if (argv.length === 0) return introduce(io, introduction)
  const parsed = parseCommandLine(commands, argv)
  if (parsed.kind === 'run') {
    refuseAgentContainer(parsed.command.name)
    return runCommand(parsed.command, parsed.given, io)
  }
  if (parsed.kind === 'version') return runCommand(version, { args: [], options: new Map() }, io)
  const style = styleOf(io)
  io.stdout(parsed.command ? formatCommandHelp(parsed.command, style) : formatHelp(commands, style))
  return ExitCode.done
}

/** Runs a command line, given without the program's name; answers what to exit with, and never throws. */
export const cliMain = async (
  argv: readonly string[],
  io: CliIo,
  introduction: Introduction,
): Promise<number> => {
  try {
    return await run(argv, io, introduction)
  } catch (error) {
    return printFailure(error, { command: commandOf(commands, argv), argv }, io)
  }
}

/** The text of the plugin on standard error when it is called without a verb. */
const introductionOf = async (builtIns: BuiltIns): Promise<string> => {
  const load = builtIns.get('kubenet')
  return load ? (await answerCall(await load(), builtIns, {}, () => '')).stderr : ''
}

/** Runs the command line as this process, which ends with it; `builtIns` are the plugins that this program is. */
export const commandMain = async (builtIns: BuiltIns): Promise<never> => {
  watchForInterrupts()
  const io = processIo([...builtIns.keys()])
  platform.exit(await cliMain(platform.args, io, () => introductionOf(builtIns)))
}
