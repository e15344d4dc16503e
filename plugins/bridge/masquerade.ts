import { CniError, ErrorCode } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import type { Undo } from '../../src/host/undo'
import { type Backend, backends, defaultBackend } from '../../src/netfilter/backend'
import { IptablesError } from '../../src/netfilter/iptables'
import type { Masquerade } from '../../src/netfilter/rules/masquerade/masquerade'
import type { Expected } from './check-container'
import type { BridgeConf } from './config'

/** What either way of programming the packet filter does for one attachment. */
export type MasqueradeBackend = {
  setup(masquerade: Masquerade): Promise<void>
  /** Removes the rules; none there is no failure. */
  teardown(masquerade: Masquerade): Promise<void>
  /** The rules that are missing, in the backend's words. */
  missing(masquerade: Masquerade): Promise<string[]>
  /** Throws code 50 with the reason if the backend can't be used on this host. */
  probe(): Promise<void>
}

/** An ADD pays for the modules of the one it uses alone. */
const load: Record<Backend, () => Promise<MasqueradeBackend>> = {
  iptables: async () => (await import('./masquerade-iptables.js')).backend,
  nftables: async () => (await import('./masquerade-nftables.js')).backend,
}

/** The backend that the configuration names; undefined if it names none. Throws code 7 for one that does not exist. */
export const namedBackend = ({ masquerade }: BridgeConf): Backend | undefined => {
  if (masquerade?.backend === undefined) return undefined
  const backend = backends.find(name => name === masquerade.backend)
  if (backend) return backend
  throw new CniError(
    ErrorCode.invalidNetworkConfig,
    `unknown ipmasq backend ${JSON.stringify(masquerade.backend)}`,
    { details: `there are ${backends.map(name => `"${name}"`).join(' and ')}` },
  )
}

const masqueradeOf = (call: Call, conf: BridgeConf, { ips }: Pick<Expected, 'ips'>): Masquerade => ({
  network: conf.network,
  containerID: call.env.containerID,
  ifName: call.env.ifName,
  addresses: ips.map(({ address }) => address),
  exempt: conf.masquerade?.exempt ?? [],
})

const isUsable = async (name: Backend): Promise<boolean> => {
  try {
    await (await load[name]()).probe()
    return true
  } catch {
    return false
  }
}

const setupWith = async (name: Backend, masquerade: Masquerade, undo: Undo): Promise<void> => {
  const backend = await load[name]()
  undo.add('remove the masquerade rules', () => backend.teardown(masquerade))
  await backend.setup(masquerade)
}

/** Has the traffic of the container's addresses masqueraded, if the network wants it. */
export const setupMasquerade = async (
  call: Call,
  conf: BridgeConf,
  result: Result,
  undo: Undo,
): Promise<void> => {
  if (!conf.masquerade || result.ips.length === 0) return
  const masquerade = masqueradeOf(call, conf, result)
  if (conf.masquerade.dropInvalid) (await import('./drop-invalid.js')).dropInvalid(masquerade, undo)
  const named = namedBackend(conf)
  try {
    await setupWith(named ?? defaultBackend(), masquerade, undo)
  } catch (error) {
    // Programs that are there need not work. That costs starting one, so it is only looked into now.
    if (named || !(error instanceof IptablesError) || (await isUsable('iptables'))) throw error
    await setupWith('nftables', masquerade, undo)
  }
}

/** The masquerade rules the container should have and has not, in the backend's words. */
export const missingMasquerade = async (
  call: Call,
  conf: BridgeConf,
  expected: Pick<Expected, 'ips'>,
): Promise<string[]> => {
  if (!conf.masquerade || expected.ips.length === 0) return []
  const masquerade = masqueradeOf(call, conf, expected)
  const unguarded = conf.masquerade.dropInvalid
    ? (await import('./drop-invalid.js')).missingGuards(masquerade)
    : []
  return [...unguarded, ...(await missingRules(conf, masquerade))]
}

const missingRules = async (conf: BridgeConf, masquerade: Masquerade): Promise<string[]> => {
  const named = namedBackend(conf)
  if (named) return (await load[named]()).missing(masquerade)
  // ADD may have found another default than there is now, where iptables came or went since.
  const missing = await (await load.nftables()).missing(masquerade)
  if (missing.length === 0 || defaultBackend() === 'nftables') return missing
  return (await load.iptables()).missing(masquerade)
}

/** Throws code 50 with the reason if the backend that ADD would use can't be used. */
export const probeMasquerade = async (conf: BridgeConf): Promise<void> => {
  if (!conf.masquerade) return
  if (conf.masquerade.dropInvalid) (await import('./nftables.js')).probeNftables()
  const named = namedBackend(conf)
  if (!named && ((await isUsable('iptables')) || (await isUsable('nftables')))) return
  await (await load[named ?? defaultBackend()]()).probe()
}
