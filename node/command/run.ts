/** Runs commands: nothing else prints their answers and failures. */
import { printable } from '../../src/host/output'
import { type Answer, type Command, callOf, type Given } from './command'
import { ExitCode, failureOf, formatFailure } from './failure'
import type { CliIo } from './io'
import { styleOf } from './style'

const printJson = (io: CliIo, value: object): void => io.stdout(`${JSON.stringify(value, null, 2)}\n`)

/** "kubenet: add", as a message begins. */
const speaker = (command: Command): string => callOf(command).replace(' ', ': ')

const printAnswer = (answer: Answer, command: Command, io: CliIo, json: boolean): ExitCode => {
  if (json) printJson(io, answer.json)
  else io.stdout(answer.text(styleOf(io)))
  for (const note of answer.notes ?? []) io.stderr(`${speaker(command)}: ${printable(note)}\n`)
  return answer.exitCode ?? ExitCode.done
}

/** Runs a command with what it was given and prints its answer; answers what to exit with. */
export const runCommand = async (command: Command, given: Given, io: CliIo): Promise<ExitCode> => {
  const answer = await command.run(given, io)
  return typeof answer === 'number' ? answer : printAnswer(answer, command, io, given.options.has('json'))
}

const wantsJson = (argv: readonly string[]): boolean => argv.includes('--json')

/** Prints what a command line failed with, in one line, or as JSON if it asks for that; answers what to exit with. */
export const printFailure = (
  error: unknown,
  { command, argv }: { command: Command | undefined; argv: readonly string[] },
  io: CliIo,
): ExitCode => {
  const failure = failureOf(error)
  io.stderr(`${command ? speaker(command) : 'kubenet'}: ${formatFailure(failure)}\n`)
  if (wantsJson(argv)) printJson(io, { error: failure })
  return failure.exitCode
}
