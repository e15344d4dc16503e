/**
 * The node's command line: what kubelet's flags, cnitool and a shell script were for.
 *
 * To add a subcommand: define it in a file of its own (command.ts says how, version.ts is a short one) and name it in
 * commands.ts. Its `run` answers an object for --json and a text for people, or prints through `io` and answers an
 * exit code; what it throws becomes one line on standard error. Nothing in this folder is loaded when the program is
 * called as a plugin.
 */

import type { Answer, Command, Given } from '../node/command/command'
import { ExitCode, failureOf, formatFailure } from '../node/command/failure'
import { formatCommandHelp, formatHelp } from '../node/command/help'
import type { CliIo } from '../node/command/io'
import { commandOf, parseCommandLine } from '../node/command/parse'
import { styleOf } from '../node/command/style'
import { commands } from './commands'
import { version } from './version'

const wantsJson = (argv: readonly string[]): boolean => argv.includes('--json')

const printJson = (io: CliIo, value: object): void => io.stdout(`${JSON.stringify(value, null, 2)}\n`)

const printAnswer = (answer: Answer, command: Command, io: CliIo, json: boolean): ExitCode => {
  if (json) printJson(io, answer.json)
  else io.stdout(answer.text(styleOf(io)))
  for (const note of answer.notes ?? []) io.stderr(`kubenet: ${command.name}: ${note}\n`)
  return answer.exitCode ?? ExitCode.done
}

const runCommand = async (command: Command, given: Given, io: CliIo): Promise<ExitCode> => {
  const answer = await command.run(given, io)
  return typeof answer === 'number' ? answer : printAnswer(answer, command, io, given.options.has('json'))
}

/** What every plugin says on standard error when it is called by nobody, and then what this one can do. */
const introduce = async (io: CliIo): Promise<ExitCode> => {
  io.stderr(await io.introduction())
  io.stdout(formatHelp(commands, styleOf(io)))
  return ExitCode.done
}

const run = async (argv: readonly string[], io: CliIo): Promise<ExitCode> => {
  if (argv.length === 0) return introduce(io)
  const parsed = parseCommandLine(commands, argv)
  if (parsed.kind === 'run') return runCommand(parsed.command, parsed.given, io)
  if (parsed.kind === 'version') return runCommand(version, { args: [], options: new Map() }, io)
  const style = styleOf(io)
  io.stdout(parsed.command ? formatCommandHelp(parsed.command, style) : formatHelp(commands, style))
  return ExitCode.done
}

/** Runs a command line, given without the program's name; answers what to exit with, and never throws. */
export const cliMain = async (argv: readonly string[], io: CliIo): Promise<number> => {
  try {
    return await run(argv, io)
  } catch (error) {
    const failure = failureOf(error)
    const name = commandOf(commands, argv)?.name
    io.stderr(`kubenet: ${name ? `${name}: ` : ''}${formatFailure(failure)}\n`)
    if (wantsJson(argv)) printJson(io, { error: failure })
    return failure.exitCode
  }
}
