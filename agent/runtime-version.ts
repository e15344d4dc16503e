/** Which version of the CNI specification a container runtime knows. */
import type { SpecVersion } from '../src/cni/version'

/** The first versions that know CNI 1.1.0, with its GC and STATUS. Older ones refuse a list of that version. */
const firstWith110 = new Map([
  ['containerd', [2, 0]],
  ['cri-o', [1, 31]],
])

/** The version for a list, by what kubelet reports of its runtime, "containerd://2.0.1". What nobody knows gets 1.0.0. */
export const cniVersionFor = (runtimeVersion: string | undefined): SpecVersion => {
  const [, name = '', major, minor] = /^([a-z-]+):\/\/v?(\d+)\.(\d+)/.exec(runtimeVersion ?? '') ?? []
  const first = firstWith110.get(name)
  if (!first) return '1.0.0'
  const [firstMajor = 0, firstMinor = 0] = first
  const isNew = Number(major) > firstMajor || (Number(major) === firstMajor && Number(minor) >= firstMinor)
  return isNew ? '1.1.0' : '1.0.0'
}
