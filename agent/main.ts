/** The program kubenet-agent: what a cluster runs on each node. */
import { platform } from '#platform'
import { ExitCode } from '../node/command/failure'
import { formatCommandHelp } from '../node/command/help'
import { type CliIo, processIo } from '../node/command/io'
import { parseAlone } from '../node/command/parse'
import { printFailure, runCommand } from '../node/command/run'
import { styleOf } from '../node/command/style'
import { commit, version } from '../src/build-info'
import { watchForInterrupts } from '../src/host/interrupt'
import { agent } from './command'

const run = async (argv: readonly string[], io: CliIo): Promise<ExitCode> => {
  const parsed = parseAlone(agent, argv)
  if (parsed.kind === 'run') return runCommand(agent, parsed.given, io)
  if (parsed.kind === 'version')
    io.stdout(`${agent.name} ${version} (commit ${commit}, ${platform.runtime})\n`)
  else io.stdout(formatCommandHelp(agent, styleOf(io)))
  return ExitCode.done
}

const main = async (): Promise<void> => {
  watchForInterrupts()
  const io = processIo([agent.name])
  try {
    platform.exit(await run(platform.args, io))
  } catch (error) {
    platform.exit(printFailure(error, { command: agent, argv: platform.args }, io))
  }
}

platform.onStart(() => void main())
