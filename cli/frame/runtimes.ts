/** The container runtimes that are installed on this node. */
import type { CliIo } from '../../node/command/io'
import type { NetworkValues } from '../../node/conflist/kubelet-flags'
import { listVersionFor } from '../../node/conflist/list-version'
import type { SpecVersion } from '../../src/cni/version'
import { exec, findProgram } from '../../src/host/exec'
import { isFrom } from '../../src/host/system-error'

/** Program, its name as kubelet has it, and its version in what it prints for --version. */
const known = [
  { program: 'containerd', name: 'containerd', version: /^containerd \S+ v?(\d+\.\d+\S*)/m },
  { program: 'crio', name: 'cri-o', version: /^crio version v?(\d+\.\d+\S*)/m },
] as const

/** The runtimes in PATH as kubelet would report them, "containerd://1.7.27". A version that is not known is "unknown". */
const installedRuntimes = async ({ env }: CliIo): Promise<string[]> => {
  const found: string[] = []
  for (const { program, name, version } of known) {
    const path = findProgram(program, env.PATH)
    if (path === undefined) continue
    try {
      const [, text = 'unknown'] = version.exec(await exec([path, '--version'])) ?? []
      found.push(`${name}://${text}`)
    } catch (error) {
      if (!isFrom(error, 'program')) throw error
      found.push(`${name}://unknown`)
    }
  }
  return found
}

type GivenValues = Omit<NetworkValues, 'cniVersion'> & { readonly cniVersion: SpecVersion | undefined }

/** The network's values with a version: the one given, or that of this node's runtimes. `notes` say why. */
export const withListVersion = async (
  values: GivenValues,
  io: CliIo,
): Promise<{ values: NetworkValues; notes: string[] }> => {
  const { cniVersion: given, reference } = values
  if (given !== undefined) return { values: { ...values, cniVersion: given }, notes: [] }
  const runtimes = reference ? [] : await installedRuntimes(io)
  const { cniVersion, because } = listVersionFor({ runtimes, reference })
  return {
    values: { ...values, cniVersion },
    notes: [`the list is of CNI ${cniVersion}, because ${because}; --cni-version sets another`],
  }
}
