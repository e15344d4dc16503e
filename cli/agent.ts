import { dirname } from 'node:path'
import { platform } from '#platform'
import { type Command, command } from '../node/command/command'
import { CliError, ExitCode } from '../node/command/failure'
import type { CliIo } from '../node/command/io'
import { findProgram } from '../src/host/exec'

const programName = 'kubenet-agent'

/** Becomes the agent, which is a program of its own as it needs HTTP and TLS: the one beside this program, or in PATH. */
const become = (words: readonly string[], { programPath, env }: CliIo): never => {
  const path = findProgram(programName, dirname(programPath)) ?? findProgram(programName, env.PATH)
  if (path) return platform.exec([path, ...words], env)
  throw new CliError(
    ExitCode.notFound,
    `the program ${programName} is neither in ${dirname(programPath)} nor in PATH`,
    'it is in the image, and in the release as kubenet-agent-VERSION-linux-ARCH.tar.gz',
  )
}

export const agent: Command = {
  ...command({
    name: 'agent',
    group: 'Set up a node',
    summary: "in a cluster: write the network of this node's Node object",
    about: [
      'Starts kubenet-agent, which is beside kubenet or in PATH, with all arguments. "kubenet agent ' +
        '--help" lists its options; docs/cluster.md describes them.',
    ],
    examples: [
      { line: 'kubenet agent --kubeconfig /etc/kubernetes/kubelet.conf', does: "with kubelet's credentials" },
    ],
    run: ({ io }) => become([], io),
  }),
  options: [],
  passesOn: true,
  run: async ({ args }, io) => become(args, io),
}
