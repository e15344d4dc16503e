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
    `the agent is a program of its own, ${programName}, which is neither in ${dirname(programPath)} nor in PATH`,
    'it is in the image, and in the release as kubenet-agent-VERSION-linux-ARCH.tar.gz',
  )
}

export const agent: Command = {
  ...command({
    name: 'agent',
    group: 'Set up a node',
    summary: "in a cluster: keep this node's network as its Node object says",
    about: [
      'Becomes kubenet-agent, the program of its own that is in the image and in a tarball of the release, if it is ' +
        'beside kubenet or in PATH. What follows is for that program: "kubenet agent --help" has its options, and ' +
        'docs/cluster.md the rest.',
    ],
    examples: [
      { line: 'kubenet agent --kubeconfig /etc/kubernetes/kubelet.conf', does: 'with what kubelet has' },
    ],
    run: ({ io }) => become([], io),
  }),
  options: [],
  passesOn: true,
  run: async ({ args }, io) => become(args, io),
}
