/** Which version of the CNI specification a list is of, and why: the newest that all who read it are known to take. */
import type { SpecVersion } from '../../src/cni/version'

/** The first versions that know CNI 1.1.0, with its GC and STATUS. Older ones refuse a list of that version. */
const firstWith110 = new Map([
  ['containerd', [2, 0]],
  ['cri-o', [1, 31]],
])

const takes110 = (runtime: string): boolean => {
  const [, name = '', major, minor] = /^([a-z-]+):\/\/v?(\d+)\.(\d+)/.exec(runtime) ?? []
  const first = firstWith110.get(name)
  if (!first) return false
  const [firstMajor = 0, firstMinor = 0] = first
  return Number(major) > firstMajor || (Number(major) === firstMajor && Number(minor) >= firstMinor)
}

/** A version, and the reason in words that follow "because". */
type ListVersion = { readonly cniVersion: SpecVersion; readonly because: string }

type Readers = {
  /** The runtimes of the node as kubelet reports them, "containerd://2.0.1". */
  readonly runtimes: readonly string[]
  /** Is the list for the reference plugins too? */
  readonly reference: boolean
}

/** The version for a list that these read. Unknown runtimes are taken for old ones. */
export const listVersionFor = ({ runtimes, reference }: Readers): ListVersion => {
  if (reference) return { cniVersion: '1.0.0', because: 'older reference plugins take no newer one' }
  const old = runtimes.find(runtime => !takes110(runtime))
  if (old !== undefined) return { cniVersion: '1.0.0', because: `${old} is not known to take 1.1.0` }
  return runtimes.length === 0
    ? { cniVersion: '1.0.0', because: 'no containerd or CRI-O was found' }
    : {
        cniVersion: '1.1.0',
        because: `${runtimes.join(' and ')} ${runtimes.length > 1 ? 'take' : 'takes'} it`,
      }
}
