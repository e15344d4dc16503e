/** Reading nftables back. Missing objects are empty or undefined, never an error. */
import { isFrom } from '../../host/system-error'
import { netlinkError, unlessRefused } from '../../netlink/error'
import type { NetlinkSocket, Reply, Request } from '../../netlink/socket'
import { type EntryFilter, holding, readU32be } from '../../netlink/wire/message'
import { formatElement, type NftElement, type NftSet, readElements, readShape, wireKeys } from './set'
import * as n from './wire/message'
import { type ReadRule, readRule, ruleKey } from './wire/rule'
import { type ReadEntry, readEntries, readSet, readSetElems, setElemListAttributes, setKey } from './wire/set'
import {
  chainAttributes,
  formatTable,
  type NftTable,
  type ReadChain,
  type ReadTable,
  readChain,
  readTable,
} from './wire/table'

/** The part of a socket that reading needs. */
type Reader = Pick<NetlinkSocket, 'request' | 'dump'>

/** enum nft_gen_attributes */
const NFTA_GEN_ID = 1

const dump = (nl: Reader, op: string, request: Request, filter?: EntryFilter): Reply[] =>
  unlessRefused(['ENOENT'], () => nl.dump(op, request, filter)) ?? []

const get = (nl: Reader, op: string, request: Request): Reply[] =>
  unlessRefused(['ENOENT'], () => nl.request(op, request)) ?? []

/** Decodes the replies that are such a message; what cannot be read is the request's failure, EBADMSG. */
const decode = <T>(
  op: string,
  replies: readonly Reply[],
  message: number,
  read: (bodies: Buffer[]) => T,
): T => {
  const bodies = replies.filter(({ type }) => n.isNftMessage(type, message)).map(({ data }) => data)
  try {
    return read(bodies)
  } catch (error) {
    throw netlinkError(op, 'EBADMSG', error instanceof Error ? error.message : '')
  }
}

/** How a kernel without nf_tables answers: it knows no such subsystem, or no such protocol. */
export const noNftables: readonly string[] = ['EINVAL', 'EOPNOTSUPP', 'EPROTONOSUPPORT', 'EAFNOSUPPORT']

const remedy =
  'the kernel may have no nf_tables: try "modprobe nf_tables"; if there is no such module, use the backend iptables with ' +
  'iptables-legacy, or a kernel built with CONFIG_NF_TABLES'

/**
 * The number of the rule set's generation, which every commit of any program raises. The first thing that is asked of
 * nf_tables, and so what fails where there is none: with a code of noNftables.
 */
export const nftGeneration = (nl: Reader): number => {
  const op = 'read the generation of nftables'
  const replies = askForGeneration(nl, op)
  const id = decode(op, replies, n.NFT_MSG_NEWGEN, ([body]) =>
    readU32be(body && n.readNftAttributes(body).get(NFTA_GEN_ID)),
  )
  if (id === undefined) throw netlinkError(op, 'EBADMSG', 'the kernel returned none')
  return id
}

const askForGeneration = (nl: Reader, op: string) => {
  try {
    return nl.request(op, n.nftRequest(n.NFT_MSG_GETGEN, undefined, []))
  } catch (error) {
    if (!isFrom(error, 'netlink', ...noNftables)) throw error
    throw netlinkError(op, error.code, remedy)
  }
}

/** The tables of all families, or of one. Equivalent to: `nft list tables [$family]`. */
export const tableList = (nl: Reader, family?: n.NftFamily): ReadTable[] => {
  const op = 'list the nftables tables'
  const replies = dump(nl, op, n.nftRequest(n.NFT_MSG_GETTABLE, family, []))
  return decode(op, replies, n.NFT_MSG_NEWTABLE, bodies => bodies.flatMap(body => readTable(body) ?? []))
}

/** The chains of a table. The kernel can only list those of all tables of a family: prefer `chainGet`. */
export const chainList = (nl: Reader, { family, name }: NftTable): ReadChain[] =>
  chainsOf(nl, family).filter(({ table }) => table === name)

/** The chains of all tables of a family. */
export const chainsOf = (nl: Reader, family: n.NftFamily): ReadChain[] => {
  const op = `list the chains of family ${family}`
  const replies = dump(nl, op, n.nftRequest(n.NFT_MSG_GETCHAIN, family, []))
  return decode(op, replies, n.NFT_MSG_NEWCHAIN, bodies => bodies.map(readChain))
}

/** The chain, or undefined. */
export const chainGet = (nl: Reader, table: NftTable, name: string): ReadChain | undefined => {
  const op = `look up chain "${name}" of ${formatTable(table)}`
  const attributes = chainAttributes(table.name, { name })
  const replies = get(nl, op, n.nftRequest(n.NFT_MSG_GETCHAIN, table.family, attributes))
  return decode(op, replies, n.NFT_MSG_NEWCHAIN, ([body]) => body && readChain(body))
}

/** The rules of a table, or of one of its chains, in order. Equivalent to: `nft -a list chain $table $chain`. */
export const ruleList = (nl: Reader, table: NftTable, chain?: string): ReadRule[] => {
  const where = chain === undefined ? '' : `chain "${chain}" of `
  const op = `list the rules of ${where}${formatTable(table)}`
  const request = n.nftRequest(n.NFT_MSG_GETRULE, table.family, ruleKey(table.name, chain))
  return decode(op, dump(nl, op, request), n.NFT_MSG_NEWRULE, bodies => bodies.map(readRule))
}

/** How many rules a chain has. They are not decoded. */
export const ruleCount = (nl: Reader, table: NftTable, chain: string): number => {
  const op = `count the rules of chain "${chain}" of ${formatTable(table)}`
  const request = n.nftRequest(n.NFT_MSG_GETRULE, table.family, ruleKey(table.name, chain))
  return dump(nl, op, request).filter(({ type }) => n.isNftMessage(type, n.NFT_MSG_NEWRULE)).length
}

/**
 * The rules of a chain whose comments begin with `beginning`, in order. The others are skipped undecoded, so that
 * one container's few cost little beside a thousand others.
 */
export const ruleListByComment = (
  nl: Reader,
  table: NftTable,
  chain: string,
  beginning: string,
): ReadRule[] => {
  const op = `list the rules of chain "${chain}" of ${formatTable(table)}`
  const request = n.nftRequest(n.NFT_MSG_GETRULE, table.family, ruleKey(table.name, chain))
  const candidates = dump(nl, op, request, holding(Buffer.from(beginning)))
  const rules = decode(op, candidates, n.NFT_MSG_NEWRULE, bodies => bodies.map(readRule))
  return rules.filter(({ comment }) => comment.startsWith(beginning))
}

/** The sets and maps of a table without their elements, those left out whose types the project does not use. */
export const setList = (nl: Reader, table: NftTable): NftSet[] => {
  const op = `list the sets of ${formatTable(table)}`
  const request = n.nftRequest(n.NFT_MSG_GETSET, table.family, setKey(table.name))
  return decode(op, dump(nl, op, request), n.NFT_MSG_NEWSET, bodies =>
    bodies.flatMap(body => readShape(readSet(body)) ?? []),
  )
}

/**
 * The elements of a set or map; intervals in ascending order, as networks where they are some. Throws EBADMSG if the
 * set in the kernel is of another shape.
 */
export const elementList = (nl: Reader, table: NftTable, set: NftSet): NftElement[] => {
  const op = `list the elements of "${set.name}" of ${formatTable(table)}`
  const attributes = setElemListAttributes(table.name, set.name)
  const replies = dump(nl, op, n.nftRequest(n.NFT_MSG_GETSETELEM, table.family, attributes))
  // All messages at once: an interval's beginning and its end may come in different ones.
  return decode(op, replies, n.NFT_MSG_NEWSETELEM, bodies => readElements(set, bodies.flatMap(readSetElems)))
}

/** The elements of any program's set or map, as they stand in registers. Equivalent to: `nft list set $table $set`. */
export const entryList = (nl: Reader, table: NftTable, set: string): ReadEntry[] => {
  const op = `list the elements of "${set}" of ${formatTable(table)}`
  const request = n.nftRequest(n.NFT_MSG_GETSETELEM, table.family, setElemListAttributes(table.name, set))
  return decode(op, dump(nl, op, request), n.NFT_MSG_NEWSETELEM, bodies => bodies.flatMap(readEntries))
}

/**
 * The element with that key, or undefined: at a cost that does not grow with the set. Not of interval sets.
 * Equivalent to: `nft get element`.
 */
export const elementGet = (
  nl: Reader,
  table: NftTable,
  set: NftSet & { readonly interval?: false | undefined },
  key: NftElement['key'],
): NftElement | undefined => {
  const op = `look up ${formatElement({ key })} in "${set.name}" of ${formatTable(table)}`
  const attributes = setElemListAttributes(table.name, set.name, wireKeys(set, { key }))
  const replies = get(nl, op, n.nftRequest(n.NFT_MSG_GETSETELEM, table.family, attributes))
  return decode(op, replies, n.NFT_MSG_NEWSETELEM, bodies =>
    readElements(set, bodies.flatMap(readSetElems)),
  )[0]
}
