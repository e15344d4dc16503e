/** Port mappings with iptables: one iptables-restore a family, in the common case without reading anything before. */
import { CniError, ErrorCode } from '../../src/cni/error'
import type { Family } from '../../src/ip/addr'
import type { Cidr } from '../../src/ip/cidr'
import {
  chainOf,
  commentOf,
  deletionOf,
  hasIptables,
  IptablesError,
  iptablesRestore,
  iptablesSave,
  isRefused,
  type TableScript,
  targetOf,
} from '../../src/netfilter/iptables'
import { hostportChains, parseHostportComment } from '../../src/netfilter/names'
import type { PortmapConf } from './config'
import {
  addLine,
  type ChainRule,
  checkLine,
  containerRules,
  dnatChain,
  localnetRules,
  sharedNatRules,
} from './rules-iptables'

const families: readonly Family[] = [4, 6]

const guardsLocalnet = (conf: PortmapConf, family: Family): boolean => family === 4 && conf.snat

/** Adds the container's rules if everything shared is in place and nothing of the container is. */
const addAtOnce = (conf: PortmapConf, address: Cidr): Promise<void> => {
  const { family } = address.addr
  const { chain, rules, entries } = containerRules(conf, address)
  const nat: TableScript = {
    table: 'nat',
    // -C refuses the whole transaction if a shared rule is missing, -N if the container has a chain already.
    lines: [
      ...sharedNatRules(conf).rules.map(checkLine),
      `-N ${chain}`,
      ...[...rules, ...entries].map(addLine),
    ],
  }
  const filter: TableScript = { table: 'filter', lines: localnetRules().rules.map(checkLine) }
  return iptablesRestore(family, guardsLocalnet(conf, family) ? [filter, nat] : [nat])
}

/** The lines that make shared chains and rules complete; order and position of those that exist stay. */
const completeShared = async (
  family: Family,
  table: TableScript['table'],
  { chains, rules }: { chains: readonly string[]; rules: readonly ChainRule[] },
): Promise<{ lines: string[]; found: Awaited<ReturnType<typeof iptablesSave>> }> => {
  const found = await iptablesSave(family, table)
  const lines = chains.filter(chain => !found.chains.has(chain)).map(chain => `-N ${chain}`)
  const missing = rules.filter(({ chain, rule }) => !found.rules.includes(`-A ${chain} ${rule}`))
  return { lines: [...lines, ...missing.map(addLine)], found }
}

/** Adds the container's rules after a look at what is there: for the first container, and for a repeated ADD. */
const addAfterReading = async (conf: PortmapConf, address: Cidr): Promise<void> => {
  const { family } = address.addr
  const { chain, rules, entries } = containerRules(conf, address)
  const { lines, found } = await completeShared(family, 'nat', sharedNatRules(conf))
  const stale = found.rules.filter(rule => targetOf(rule) === chain).map(deletionOf)
  const own = found.chains.has(chain) ? [...stale, `-F ${chain}`] : [`-N ${chain}`]
  const scripts: TableScript[] = [
    { table: 'nat', lines: [...lines, ...own, ...[...rules, ...entries].map(addLine)] },
  ]
  if (guardsLocalnet(conf, family)) {
    const guard = await completeShared(family, 'filter', localnetRules())
    if (guard.lines.length > 0) scripts.push({ table: 'filter', lines: guard.lines })
  }
  await iptablesRestore(family, scripts)
}

/** Opens the container's ports on the host, for every family it has an address of. */
export const forwardPortsIptables = async (conf: PortmapConf): Promise<void> => {
  for (const address of conf.addresses) {
    try {
      await addAtOnce(conf, address)
    } catch (error) {
      if (!isRefused(error)) throw error
      await addAfterReading(conf, address)
    }
  }
}

/** Throws unless all rules of the container are there, naming the first that is not. */
export const checkPortsIptables = async (conf: PortmapConf): Promise<void> => {
  for (const address of conf.addresses) {
    const { rules, entries } = containerRules(conf, address)
    const wanted = [...sharedNatRules(conf).rules, ...rules, ...entries]
    try {
      await iptablesRestore(address.addr.family, [{ table: 'nat', lines: wanted.map(checkLine) }])
    } catch (error) {
      if (!(error instanceof IptablesError) || !isRefused(error)) throw error
      throw missingRule(address.addr.family, wanted, error)
    }
  }
}

const missingRule = (family: Family, wanted: readonly ChainRule[], error: IptablesError): CniError => {
  // Line 1 is "*nat".
  const line = Number(/line:? (\d+)/.exec(error.details)?.[1] ?? Number.NaN) - 2
  const rule = wanted[line]
  return new CniError(
    ErrorCode.internal,
    `a port mapping's rule is missing in the IPv${family} table nat${rule ? `: ${rule.chain} ${rule.rule}` : ''}`,
    { details: error.details },
  )
}

/** Removes all rules of a container, of both families, by reading what is there: no port needs to be known. */
export const unforwardPortsIptables = async (network: string, containerID: string): Promise<void> => {
  for (const family of families.filter(hasIptables)) {
    const chain = dnatChain(network, containerID)
    const { chains, rules } = await iptablesSave(family, 'nat')
    if (!chains.has(chain)) continue
    const lines = rules.filter(rule => targetOf(rule) === chain).map(deletionOf)
    await iptablesRestore(family, [{ table: 'nat', lines: [...lines, `-F ${chain}`, `-X ${chain}`] }])
  }
}

/** The containers of a network that have port mappings, by their rules' comments. */
export const mappedContainersIptables = async (network: string): Promise<Set<string>> => {
  const containers = new Set<string>()
  for (const family of families.filter(hasIptables)) {
    for (const rule of (await iptablesSave(family, 'nat')).rules) {
      if (chainOf(rule) !== hostportChains.dnat) continue
      const owner = parseHostportComment(commentOf(rule))
      if (owner?.network === network) containers.add(owner.containerID)
    }
  }
  return containers
}

/** Throws unless iptables can be used here: its programs are there and the kernel has the table nat. */
export const probeIptables = async (): Promise<void> => {
  await iptablesSave(4, 'nat')
}
