/** The rules by which portmap opens host ports, ours and the reference's, in either backend. */

import { dnatChainPrefix, parseHostportComment } from '../../src/attachment/iptables-names'
import { addrFromBytes, type Family, formatAddr } from '../../src/ip/addr'
import { commentOf, targetOf } from '../../src/netfilter/iptables'
import { ruleList } from '../../src/netfilter/nft/read'
import { l4Protocols } from '../../src/netfilter/nft/value'
import { type ReadExpression, readData } from '../../src/netfilter/nft/wire/expression'
import { readCmpValue } from '../../src/netfilter/nft/wire/match'
import type { ReadRule } from '../../src/netfilter/nft/wire/rule'
import { containerChains, tableOf } from '../../src/netfilter/rules/hostports/nft-rules'
import type { NetlinkSocket } from '../../src/netlink/socket'

/** A host port that a rule leads to a container, or a rule that belongs to one. */
export type PortRule = {
  readonly by: 'nftables' | 'iptables'
  readonly family: Family
  /** Undefined in nftables, whose rules name the container alone. */
  readonly network: string | undefined
  /** In nftables only as much of it as fits into a comment. */
  readonly containerID: string
  /** "chain hostports", "chain CNI-DN-…". */
  readonly where: string
  /** Undefined for a rule that only masquerades what comes back. */
  readonly dnat:
    | {
        readonly protocol: string
        readonly hostPort: number
        readonly hostIP: string | undefined
        readonly address: string
        readonly containerPort: number
      }
    | undefined
}

/** enum nft_immediate_attributes */
const NFTA_IMMEDIATE_DATA = 2

const readImmediate = ({ name, attributes }: ReadExpression): Buffer | undefined =>
  name === 'immediate' ? readData(attributes.get(NFTA_IMMEDIATE_DATA)) : undefined

const addressIn = (values: readonly (Buffer | undefined)[]): string | undefined => {
  const bytes = values.find(value => value?.length === 4 || value?.length === 16)
  const addr = bytes && addrFromBytes(bytes)
  return addr && formatAddr(addr)
}

const protocolName = (number: number | undefined): string | undefined =>
  Object.entries(l4Protocols).find(([, known]) => known === number)?.[0]

/** The effect of a rule, by its values: portmap's have one protocol, one port and one target each. */
const dnatOf = ({ expressions }: ReadRule): PortRule['dnat'] => {
  if (!expressions.some(({ name }) => name === 'nat')) return undefined
  const compared = expressions.map(readCmpValue)
  const given = expressions.map(readImmediate)
  const protocol = protocolName(compared.find(value => value?.length === 1)?.[0])
  const hostPort = compared.find(value => value?.length === 2)?.readUInt16BE(0)
  const address = addressIn(given)
  const containerPort = given.find(value => value?.length === 2)?.readUInt16BE(0)
  if (!protocol || hostPort === undefined || !address || containerPort === undefined) return undefined
  return { protocol, hostPort, hostIP: addressIn(compared), address, containerPort }
}

const families: readonly Family[] = [4, 6]

/** portmap's rules in nftables. */
export const readPortRules = (nl: NetlinkSocket): PortRule[] =>
  families.flatMap(family =>
    containerChains.flatMap(chain =>
      ruleList(nl, tableOf(family), chain)
        .filter(({ comment }) => comment !== '')
        .map(rule => ({
          by: 'nftables' as const,
          family,
          network: undefined,
          containerID: rule.comment,
          where: `chain ${chain}`,
          dnat: dnatOf(rule),
        })),
    ),
  )

const destination = / --to-destination (?:\[([^\]]+)\]|([^:\s]+)):(\d+)/

const dnatOfLine = (line: string): PortRule['dnat'] => {
  const [, v6, v4, port] = destination.exec(line) ?? []
  const address = v6 ?? v4
  const protocol = / -p (\S+)/.exec(line)?.[1]
  const hostPort = / --dport (\d+)/.exec(line)?.[1]
  if (!address || !protocol || !hostPort) return undefined
  const hostIP = / -d ([^/\s]+)/.exec(line)?.[1]
  return { protocol, hostPort: Number(hostPort), hostIP, address, containerPort: Number(port) }
}

/** portmap's rules among those of the table nat as iptables-save prints them. */
export const readPortLines = (family: Family, lines: readonly string[]): PortRule[] => {
  const owners = new Map<string, { network: string; containerID: string }>()
  for (const line of lines) {
    const owner = parseHostportComment(commentOf(line))
    if (owner) owners.set(targetOf(line), owner)
  }
  return lines.flatMap(line => {
    const chain = line.split(' ')[1] ?? ''
    const owner = owners.get(chain)
    if (!owner || !chain.startsWith(dnatChainPrefix)) return []
    return [{ by: 'iptables' as const, family, ...owner, where: `chain ${chain}`, dnat: dnatOfLine(line) }]
  })
}
