/**
 * The container of kubenet-agent, in which this program is too. It has the host's network, and neither its processes and
 * mounts nor its programs: what a command says there of the node would be false.
 */
import { readFileSync } from 'node:fs'
import { CliError, ExitCode } from '../../node/command/failure'

/** The commands that neither tell of a node nor change what containers have. */
const needsNoHost = [
  'agent',
  'completion',
  'config',
  'explain',
  'help',
  'install',
  'man',
  'networks',
  'trace',
  'version',
]

const firstProcess = (): string => {
  try {
    return readFileSync('/proc/1/comm', 'utf8').trim()
  } catch {
    return ''
  }
}

/** Throws for a command that must see the host if the first process shows that this is the agent's container. */
export const refuseAgentContainer = (command: string): void => {
  if (needsNoHost.includes(command) || firstProcess() !== 'kubenet-agent') return
  throw new CliError(
    ExitCode.notPermitted,
    "unknown: this is the container of kubenet-agent, which does not see the host's processes, mounts and programs",
    `run it on the node: /opt/cni/bin/kubenet ${command}; or from the cluster: kubectl kubenet --node NAME ${command}`,
  )
}
