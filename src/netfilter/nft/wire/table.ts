/** Tables of nftables, and the chains in them. */
import { type NftAttribute, readAttributes, readText, readU32be } from '../../../netlink/wire/message'
import { readName } from './expression'
import {
  NFTNL_UDATA_COMMENT,
  type NftFamily,
  nftFamilyOf,
  putComment,
  putUserdata,
  readComment,
  readNftAttributes,
  readUserdata,
} from './message'
import { NF_ACCEPT, NF_DROP } from './statement'

/** <linux/netfilter/nf_tables.h>, enum nft_table_attributes */
const NFTA_TABLE_NAME = 1
const NFTA_TABLE_USERDATA = 6

/** A table, which its family and its name make one together. */
export type NftTable = { readonly family: NftFamily; readonly name: string }

/** The table in messages: `table "inet kubenet"`. */
export const formatTable = ({ family, name }: NftTable): string => `table "${family} ${name}"`

/** A table as the kernel lists it. */
export type ReadTable = NftTable & { readonly comment: string }

// nfgenmsg
//   NFTA_TABLE_NAME (string)
//   NFTA_TABLE_USERDATA (userdata: comment)       Linux 5.9; ignored before
export const tableAttributes = (table: NftTable, comment?: string): NftAttribute[] => [
  [NFTA_TABLE_NAME, table.name],
  [NFTA_TABLE_USERDATA, putUserdata([[NFTNL_UDATA_COMMENT, putComment(comment)]])],
]

/** The table of an NFT_MSG_NEWTABLE; undefined for one of a family that the project has no use for. */
export const readTable = (body: Buffer): ReadTable | undefined => {
  const attributes = readNftAttributes(body)
  const family = nftFamilyOf(body[0] ?? 0)
  const userdata = readUserdata(attributes.get(NFTA_TABLE_USERDATA))
  return (
    family && {
      family,
      name: readName(attributes.get(NFTA_TABLE_NAME)),
      comment: readComment(userdata.get(NFTNL_UDATA_COMMENT)),
    }
  )
}

/** <linux/netfilter/nf_tables.h>, enum nft_chain_attributes and nft_hook_attributes */
const NFTA_CHAIN_TABLE = 1
const NFTA_CHAIN_NAME = 3
const NFTA_CHAIN_HOOK = 4
const NFTA_CHAIN_POLICY = 5
const NFTA_CHAIN_TYPE = 7
const NFTA_CHAIN_USERDATA = 12
const NFTA_HOOK_HOOKNUM = 1
const NFTA_HOOK_PRIORITY = 2

/** <linux/netfilter.h>, enum nf_inet_hooks; <linux/netfilter_bridge.h> counts them alike. */
const hooks = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const

type Hook = keyof typeof hooks

/** A chain that only jumps reach. */
type RegularChain = { readonly name: string; readonly comment?: string | undefined }

/** A chain that packets come to by themselves, at a hook, those of the lowest priority first. */
export type BaseChain = RegularChain & {
  readonly type: 'filter' | 'nat' | 'route'
  readonly hook: Hook
  readonly priority: number
  /** The verdict on a packet that reaches its end; "accept" if left out. */
  readonly policy?: 'accept' | 'drop' | undefined
}

export type NftChain = RegularChain | BaseChain

/** A chain as the kernel lists it: what a base chain has besides is undefined in a regular one. */
export type ReadChain = {
  readonly table: string
  readonly name: string
  readonly comment: string
  /** "filter", "nat" or "route". */
  readonly type: string | undefined
  readonly hook: Hook | undefined
  readonly priority: number | undefined
  readonly policy: 'accept' | 'drop' | undefined
}

const policies = { accept: NF_ACCEPT, drop: NF_DROP } as const

const baseAttributes = ({ type, hook, priority, policy }: BaseChain): NftAttribute[] => [
  [NFTA_CHAIN_TYPE, type],
  [NFTA_CHAIN_POLICY, policy && policies[policy]],
  [
    NFTA_CHAIN_HOOK,
    [
      [NFTA_HOOK_HOOKNUM, hooks[hook]],
      [NFTA_HOOK_PRIORITY, priority],
    ],
  ],
]

// nfgenmsg
//   NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME (string)
//   NFTA_CHAIN_TYPE (string)                      of base chains, as are the next two
//   NFTA_CHAIN_POLICY (be32)                      NF_ACCEPT or NF_DROP
//   NFTA_CHAIN_HOOK (nest)
//     NFTA_HOOK_HOOKNUM (be32)
//     NFTA_HOOK_PRIORITY (be32, signed)
//   NFTA_CHAIN_USERDATA (userdata: comment)       Linux 5.9; ignored before
export const chainAttributes = (table: string, chain: NftChain): NftAttribute[] => [
  [NFTA_CHAIN_TABLE, table],
  [NFTA_CHAIN_NAME, chain.name],
  ...('hook' in chain ? baseAttributes(chain) : []),
  [NFTA_CHAIN_USERDATA, putUserdata([[NFTNL_UDATA_COMMENT, putComment(chain.comment)]])],
]

const readPolicy = (value: Buffer | undefined): 'accept' | 'drop' | undefined => {
  const policy = readU32be(value)
  if (policy === undefined) return undefined
  return policy === NF_DROP ? 'drop' : 'accept'
}

/** The chain of an NFT_MSG_NEWCHAIN. */
export const readChain = (body: Buffer): ReadChain => {
  const attributes = readNftAttributes(body)
  const hookNest = attributes.get(NFTA_CHAIN_HOOK)
  const hook = hookNest && readAttributes(hookNest)
  const hooknum = readU32be(hook?.get(NFTA_HOOK_HOOKNUM))
  const priority = readU32be(hook?.get(NFTA_HOOK_PRIORITY))
  const type = attributes.get(NFTA_CHAIN_TYPE)
  const userdata = readUserdata(attributes.get(NFTA_CHAIN_USERDATA))
  return {
    table: readName(attributes.get(NFTA_CHAIN_TABLE)),
    name: readName(attributes.get(NFTA_CHAIN_NAME)),
    comment: readComment(userdata.get(NFTNL_UDATA_COMMENT)),
    type: type && readText(type),
    hook: (Object.keys(hooks) as Hook[]).find(name => hooks[name] === hooknum),
    priority: priority === undefined ? undefined : priority | 0,
    policy: readPolicy(attributes.get(NFTA_CHAIN_POLICY)),
  }
}
