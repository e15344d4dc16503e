import type { Attachment } from '../../src/attachment/attachment'
import { CniError, ErrorCode, quote, runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import { isFrom } from '../../src/host/system-error'
import type { Undo } from '../../src/host/undo'
import { type Backend, backends, defaultBackend } from '../../src/netfilter/backend'
import {
  type Kept,
  loadMasquerade,
  type Masquerade,
  type MasqueradeRules,
  type Unmasqueraded,
} from '../../src/netfilter/rules/masquerade/masquerade'
import type { Expected } from './check'
import type { BridgeConf } from './config'

/** The backend that the configuration names; undefined if it names none. Throws code 7 for one that does not exist. */
export const namedBackend = ({ masquerade }: BridgeConf): Backend | undefined => {
  if (masquerade?.backend === undefined) return undefined
  const backend = backends.find(name => name === masquerade.backend)
  if (backend) return backend
  throw new CniError(ErrorCode.invalidNetworkConfig, `unknown ipmasq backend ${quote(masquerade.backend)}`, {
    details: `there are ${backends.map(name => `"${name}"`).join(' and ')}`,
  })
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
    await (await loadMasquerade[name]()).probe()
    return true
  } catch {
    return false
  }
}

const setUpWith = async (name: Backend, masquerade: Masquerade, undo: Undo): Promise<void> =>
  (await loadMasquerade[name]()).setUp(masquerade, undo)

/** The rules of "dropInvalid", whose modules only who uses them pays for. */
export const loadDropInvalid = async () =>
  (await import('../../src/netfilter/rules/drop-invalid/nft.js')).dropInvalidRules

/** Has the traffic of the container's addresses masqueraded, if the network wants it. */
export const setUpMasquerade = async (
  call: Call,
  conf: BridgeConf,
  result: Result,
  undo: Undo,
): Promise<void> => {
  if (!conf.masquerade || result.ips.length === 0) return
  const masquerade = masqueradeOf(call, conf, result)
  if (conf.masquerade.dropInvalid) await (await loadDropInvalid()).setUp(masquerade, undo)
  const named = namedBackend(conf)
  try {
    await setUpWith(named ?? defaultBackend(), masquerade, undo)
  } catch (error) {
    // Programs that are there need not work. That costs starting one, so it is only looked into now.
    if (named || !isFrom(error, 'iptables') || (await isUsable('iptables'))) throw error
    await setUpWith('nftables', masquerade, undo)
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
  const unguarded = conf.masquerade.dropInvalid ? await (await loadDropInvalid()).missing(masquerade) : []
  return [...unguarded, ...(await missingRules(conf, masquerade))]
}

const missingRules = async (conf: BridgeConf, masquerade: Masquerade): Promise<string[]> => {
  const named = namedBackend(conf)
  if (named) return (await loadMasquerade[named]()).missing(masquerade)
  // ADD may have found another default than there is now, where iptables came or went since.
  const missing = await (await loadMasquerade.nftables()).missing(masquerade)
  if (missing.length === 0 || defaultBackend() === 'nftables') return missing
  return (await loadMasquerade.iptables()).missing(masquerade)
}

/** Throws code 50 with the reason if the backend that ADD would use cannot be used. */
export const probeMasquerade = async (conf: BridgeConf): Promise<void> => {
  if (!conf.masquerade) return
  if (conf.masquerade.dropInvalid) await (await loadDropInvalid()).probe()
  const named = namedBackend(conf)
  if (!named && ((await isUsable('iptables')) || (await isUsable('nftables')))) return
  await (await loadMasquerade[named ?? defaultBackend()]()).probe()
}

/** Each backend's rules: those of an attachment may be of an earlier configuration. */
const loadAll = (): Promise<MasqueradeRules[]> => Promise.all(backends.map(name => loadMasquerade[name]()))

/** Is any masquerade rule of the attachment there, with either backend? */
export const hasMasquerade = async (id: Attachment): Promise<boolean> =>
  (await loadAll()).some(rules => rules.isThere(id))

/** Waits for all of it, also when some fails; then throws what failed. */
const allOf = async (work: readonly Promise<unknown>[]): Promise<void> => {
  const outcomes = await Promise.allSettled(work)
  const failures = outcomes.flatMap(outcome => (outcome.status === 'rejected' ? [outcome.reason] : []))
  if (failures.length > 0) throw CniError.join(failures)
}

/**
 * Loads what removes an attachment's rules, made with either backend. When that is called, as much as can be done without
 * waiting is done, or begun, before it returns: iptables comes first, as it opens and closes sockets to ask which rules
 * there are, and those would wait for what nftables removes.
 */
export const loadRemoval = async (): Promise<(going: Unmasqueraded) => Promise<void>> => {
  const all = await loadAll()
  return going => allOf(all.map(rules => rules.takeDown(going)))
}

/** Removes the rules of a network's attachments that are gone. */
export const collectMasquerade = async (kept: Kept): Promise<void> =>
  runAll((await loadAll()).map(rules => () => rules.collect(kept)))
