/** Port mappings with nftables: one batch a family, over netlink; only conditions in nft's words need its program. */
import { CniError, ErrorCode } from '../../src/cni/error'
import { exec, findProgram } from '../../src/host/exec'
import { type Family, formatAddr } from '../../src/ip/addr'
import type { Cidr } from '../../src/ip/cidr'
import { nftGeneration, ruleList } from '../../src/netfilter/nft/read'
import type { NftTransaction } from '../../src/netfilter/nft/transaction'
import { nftUpdate } from '../../src/netfilter/nft/update'
import type { ReadRule } from '../../src/netfilter/nft/wire/rule'
import { NETLINK_NETFILTER, NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { mappingsOf, type PortmapConf } from './config'
import {
  type ContainerRule,
  commentOf,
  containerChains,
  dnatRules,
  sharedChains,
  snatRules,
  tableComment,
  tableOf,
} from './rules-nftables'

const families: readonly Family[] = [4, 6]

/** Makes the table, its chains and the rules all containers share, as far as they are missing. */
const ensureShared = (nl: NetlinkSocket, tx: NftTransaction, conf: PortmapConf, family: Family): void => {
  const table = tableOf(family)
  tx.addTable(table, { comment: tableComment })
  for (const { chain, rules } of sharedChains(conf, family)) {
    tx.addChain(table, chain)
    if (!rules || ruleList(nl, table, chain.name).length === rules.length) continue
    tx.flushChain(table, chain.name)
    for (const entry of rules) tx.addRule(table, chain.name, entry)
  }
}

const ofContainer = (nl: NetlinkSocket, family: Family, containerID: string): ReadRule[] =>
  containerChains.flatMap(chain =>
    ruleList(nl, tableOf(family), chain).filter(({ comment }) => comment === commentOf(containerID)),
  )

/**
 * The rules with conditions as lines for the nft program, which alone can read them. They stand in the container's
 * own rules: in the chain all networks share they would hold for everybody's ports.
 */
const conditionalLines = (conf: PortmapConf, { addr }: Cidr): string[] => {
  const { family } = addr
  const { family: nftFamily, name } = tableOf(family)
  const to = family === 4 ? formatAddr(addr) : `[${formatAddr(addr)}]`
  return mappingsOf(conf, family).map(({ protocol, hostPort, containerPort, hostIP }) => {
    const on = hostIP ? `${nftFamily} daddr ${formatAddr(hostIP)} ` : ''
    const match = `${conf.conditions[family].join(' ')} ${on}${protocol} dport ${hostPort}`
    const comment = JSON.stringify(commentOf(conf.containerID))
    return `add rule ${nftFamily} ${name} hostports ${match} dnat to ${to}:${containerPort} comment ${comment}`
  })
}

const runNft = async (lines: readonly string[]): Promise<void> => {
  const nft = findProgram('nft')
  if (!nft) {
    throw new CniError(ErrorCode.invalidNetworkConfig, 'conditions in nft’s words need the program nft', {
      details: 'it is not in PATH; install nftables, or leave conditionsV4 and conditionsV6 out',
    })
  }
  await exec([nft, '-f', '-'], `${lines.join('\n')}\n`)
}

const forwardFamily = async (
  nl: NetlinkSocket,
  conf: PortmapConf,
  address: Cidr,
  repeated: boolean,
): Promise<void> => {
  const { family } = address.addr
  const table = tableOf(family)
  const conditional = conf.conditions[family].length > 0
  const rules: ContainerRule[] = [
    ...(conditional ? [] : dnatRules(conf, address)),
    ...snatRules(conf, address),
  ]
  nftUpdate(nl, 'open host ports', tx => {
    ensureShared(nl, tx, conf, family)
    // Only then: looking through everybody's rules would make each ADD slower than the one before.
    if (repeated) for (const stale of ofContainer(nl, family, conf.containerID)) tx.deleteRule(table, stale)
    for (const entry of rules) tx.addRule(table, entry.chain, entry.rule)
  })
  if (conditional) await runNft(conditionalLines(conf, address))
}

/**
 * Opens the container's ports on the host, for every family it has an address of; `repeated` says that it may have
 * rules already, which are replaced.
 */
export const forwardPortsNftables = async (conf: PortmapConf, repeated: boolean): Promise<void> => {
  const nl = NetlinkSocket.open(NETLINK_NETFILTER)
  try {
    for (const address of conf.addresses) await forwardFamily(nl, conf, address, repeated)
  } finally {
    nl.close()
  }
}

/** Throws unless the container has as many rules as its mappings make. */
export const checkPortsNftables = async (conf: PortmapConf): Promise<void> =>
  withNetlink(NETLINK_NETFILTER, nl => {
    for (const address of conf.addresses) {
      const { family } = address.addr
      const mapped = conf.conditions[family].length > 0 ? mappingsOf(conf, family) : dnatRules(conf, address)
      const wanted = mapped.length + snatRules(conf, address).length
      const found = ofContainer(nl, family, conf.containerID).length
      if (found >= wanted) continue
      throw new CniError(ErrorCode.internal, 'missing hostport rules in "hostports" chain', {
        details: `table ${tableOf(family).family} cni_hostport has ${found} of ${wanted} rules of the container`,
      })
    }
  })

/** Removes all rules of a container, of both families; none there is no failure. */
export const unforwardPortsNftables = async (containerID: string): Promise<void> =>
  withNetlink(NETLINK_NETFILTER, nl => {
    for (const family of families) {
      nftUpdate(nl, 'close host ports', tx => {
        for (const found of ofContainer(nl, family, containerID)) tx.deleteRule(tableOf(family), found)
      })
    }
  })

/** Throws unless the kernel has nf_tables and lets this process change it. */
export const probeNftables = async (): Promise<void> => {
  withNetlink(NETLINK_NETFILTER, nftGeneration)
}
