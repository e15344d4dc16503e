/**
 * Changes of nftables that the kernel applies together or not at all, in the order they were added here. Nothing is
 * sent before commit().
 */

import { errnoName } from '../../host/errno'
import { isFrom } from '../../host/system-error'
import { extendedAck, netlinkError } from '../../netlink/error'
import {
  type NetlinkSocket,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_EXCL,
  type Reply,
  type Request,
} from '../../netlink/socket'
import type { NftAttribute } from '../../netlink/wire/message'
import { modulesOfChain, modulesOfRule, remedyFor } from './kernel-modules'
import { chainGet, nftGeneration } from './read'
import { type NftRule, ruleExpressions } from './rule'
import { formatElement, type NftElement, type NftSet, wireElement, wireKeys, wireSet } from './set'
import {
  batch,
  NFT_MSG_DELCHAIN,
  NFT_MSG_DELRULE,
  NFT_MSG_DELSET,
  NFT_MSG_DELSETELEM,
  NFT_MSG_DELTABLE,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWSET,
  NFT_MSG_NEWSETELEM,
  NFT_MSG_NEWTABLE,
  nftRequest,
} from './wire/message'
import { ruleAttributes, ruleHandle, ruleKey } from './wire/rule'
import { setAttributes, setElemListAttributes, setKey } from './wire/set'
import {
  chainAttributes,
  formatTable,
  type NftChain,
  type NftTable,
  type ReadChain,
  tableAttributes,
} from './wire/table'

const NLMSG_ERROR = 2

/** A change, and the modules of the kernel it needs beside nf_tables. */
type Change = { readonly op: string; readonly request: Request; readonly modules: readonly string[] }

export class NftTransaction {
  readonly #generation: number | undefined
  readonly #changes: Change[] = []
  #sets = 0

  /** With the number of a generation the kernel refuses, with ERESTART, if any table has changed since. */
  constructor(generation?: number) {
    this.#generation = generation
  }

  /** How many changes it holds. */
  get size(): number {
    return this.#changes.length
  }

  /** `add table`: a table that is there stays as it is. Comments need Linux 5.9, an older kernel drops them. */
  addTable(table: NftTable, { comment }: { comment?: string } = {}): this {
    const attributes = tableAttributes(table, comment)
    return this.#add(`add ${formatTable(table)}`, table, NFT_MSG_NEWTABLE, attributes, NLM_F_CREATE)
  }

  /** `delete table`, with all that is in it. ENOENT if there is none. */
  deleteTable(table: NftTable): this {
    return this.#add(`delete ${formatTable(table)}`, table, NFT_MSG_DELTABLE, tableAttributes(table))
  }

  /**
   * `add chain`: one that is there keeps its rules and takes the policy given. EEXIST or EOPNOTSUPP if it is of another
   * type, hook or priority. Chains of type nat in the family inet need Linux 5.2.
   */
  addChain(table: NftTable, chain: NftChain): this {
    const op = `add chain "${chain.name}" to ${formatTable(table)}`
    const modules = modulesOfChain('type' in chain ? chain.type : undefined)
    return this.#add(op, table, NFT_MSG_NEWCHAIN, chainAttributes(table.name, chain), NLM_F_CREATE, modules)
  }

  /** `flush chain`: deletes the rules of a chain. ENOENT if there is no such chain. */
  flushChain(table: NftTable, chain: string): this {
    const op = `flush chain "${chain}" of ${formatTable(table)}`
    return this.#add(op, table, NFT_MSG_DELRULE, ruleKey(table.name, chain))
  }

  /** `delete chain`, with its rules. EBUSY while another rule jumps to it, ENOENT if there is none. */
  deleteChain(table: NftTable, chain: string): this {
    const op = `delete chain "${chain}" of ${formatTable(table)}`
    return this.#add(op, table, NFT_MSG_DELCHAIN, chainAttributes(table.name, { name: chain }))
  }

  /** `add rule`: puts a rule at the end of a chain. */
  addRule(table: NftTable, chain: string, rule: NftRule): this {
    return this.#newRule('add', table, chain, rule)
  }

  /** `insert rule`: puts a rule at the start of a chain. */
  insertRule(table: NftTable, chain: string, rule: NftRule): this {
    return this.#newRule('insert', table, chain, rule)
  }

  #newRule(verb: 'add' | 'insert', table: NftTable, chain: string, rule: NftRule): this {
    const expressions = ruleExpressions(table.family, rule)
    const attributes = ruleAttributes(table.name, chain, { expressions, comment: rule.comment })
    const flags = verb === 'add' ? NLM_F_CREATE | NLM_F_APPEND : NLM_F_CREATE
    const op = `${verb} rule to chain "${chain}" of ${formatTable(table)}`
    const modules = modulesOfRule(table.family, expressions)
    return this.#add(op, table, NFT_MSG_NEWRULE, attributes, flags, modules)
  }

  /** `delete rule … handle`. ENOENT if it is gone. */
  deleteRule(table: NftTable, rule: { readonly chain: string; readonly handle: bigint }): this {
    const { chain, handle } = rule
    const op = `delete rule ${handle} of chain "${chain}" of ${formatTable(table)}`
    return this.#add(op, table, NFT_MSG_DELRULE, ruleHandle(table.name, chain, handle))
  }

  /** `add set` or `add map`: one that is there stays with its elements; EEXIST if it is of another shape. */
  addSet(table: NftTable, set: NftSet): this {
    const op = `add ${formatSet(set)} to ${formatTable(table)}`
    const attributes = setAttributes(table.name, wireSet(set), ++this.#sets)
    return this.#add(op, table, NFT_MSG_NEWSET, attributes, NLM_F_CREATE)
  }

  /** `flush set`: deletes the elements. ENOENT if there is no such set. */
  flushSet(table: NftTable, set: Pick<NftSet, 'name' | 'data'>): this {
    const op = `flush ${formatSet(set)} of ${formatTable(table)}`
    return this.#add(op, table, NFT_MSG_DELSETELEM, setElemListAttributes(table.name, set.name))
  }

  /** `delete set`, with its elements. EBUSY while a rule looks into it, ENOENT if there is none. */
  deleteSet(table: NftTable, set: Pick<NftSet, 'name' | 'data'>): this {
    const op = `delete ${formatSet(set)} of ${formatTable(table)}`
    return this.#add(op, table, NFT_MSG_DELSET, setKey(table.name, set.name))
  }

  /**
   * `add element`: one that is there stays as it is, even with another comment. EEXIST, from older kernels EBUSY, if a
   * map leads it elsewhere; EEXIST if it overlaps another interval.
   */
  addElement(table: NftTable, set: NftSet, element: NftElement): this {
    return this.#newElement('add', table, set, element)
  }

  /** `create element`: EEXIST if the key is there. */
  createElement(table: NftTable, set: NftSet, element: NftElement): this {
    return this.#newElement('create', table, set, element)
  }

  #newElement(verb: 'add' | 'create', table: NftTable, set: NftSet, element: NftElement): this {
    const attributes = setElemListAttributes(table.name, set.name, wireElement(set, element))
    const flags = verb === 'add' ? NLM_F_CREATE : NLM_F_CREATE | NLM_F_EXCL
    const op = `${verb} ${formatElement(element)} to ${formatSet(set)} of ${formatTable(table)}`
    return this.#add(op, table, NFT_MSG_NEWSETELEM, attributes, flags)
  }

  /** `delete element`, by its key. ENOENT if it is not there. */
  deleteElement(table: NftTable, set: NftSet, element: Pick<NftElement, 'key'>): this {
    const op = `delete ${formatElement({ key: element.key })} from ${formatSet(set)} of ${formatTable(table)}`
    const attributes = setElemListAttributes(table.name, set.name, wireKeys(set, element))
    return this.#add(op, table, NFT_MSG_DELSETELEM, attributes)
  }

  /**
   * Sends the changes, if there are any, in one datagram. Throws a SystemError that says the first change which the
   * kernel refused; nothing was changed then. ERESTART says that the generation is another now.
   */
  commit(nl: Pick<NetlinkSocket, 'exchange'>): void {
    if (this.size === 0) return
    const requests = batch(
      this.#changes.map(({ request }) => request),
      this.#generation,
    )
    const { first, replies } = nl.exchange('change nftables', requests)
    const refused = replies.filter(isRefusal).sort((a, b) => a.seq - b.seq)[0]
    if (!refused) return
    // An answer to the batch's own first message is about the batch as a whole.
    const change = this.#changes[refused.seq - first - 1]
    const code = errnoName(refused.data.readInt32LE(0))
    const words = [extendedAck(refused), remedyFor(code, change?.modules ?? [])].filter(Boolean).join('; ')
    throw netlinkError(change?.op ?? 'change nftables', code, words)
  }

  #add(
    op: string,
    { family }: NftTable,
    message: number,
    attributes: NftAttribute[],
    flags = 0,
    modules: readonly string[] = [],
  ): this {
    this.#changes.push({ op, request: nftRequest(message, family, attributes, flags), modules })
    return this
  }
}

const formatSet = ({ name, data }: Pick<NftSet, 'name' | 'data'>): string =>
  `${data ? 'map' : 'set'} "${name}"`

const isRefusal = ({ type, data }: Reply): boolean =>
  type === NLMSG_ERROR && data.length >= 4 && data.readInt32LE(0) !== 0

// Each failed attempt means that another process got its change through; a node starts some dozen pods at once.
const maxAttempts = 64

/**
 * Has `change` read nftables and commit changes bound to the generation it is given; again from the start if any other program
 * changed any table meanwhile. Returns what the last run returned. Throws EAGAIN, saying `op`, if others were faster each
 * time, and what `change` throws.
 */
export const untilUnchanged = <T>(
  nl: Pick<NetlinkSocket, 'request' | 'dump'>,
  op: string,
  change: (generation: number) => T,
): T => {
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const generation = nftGeneration(nl)
    try {
      return change(generation)
    } catch (error) {
      if (!isFrom(error, 'netlink', 'ERESTART')) throw error
    }
  }
  throw netlinkError(op, 'EAGAIN', `nftables changed during each of ${maxAttempts} attempts`)
}

/**
 * Changes nftables according to what is in them: `build` reads through `nl`, adds changes, and the kernel takes them
 * only if no table changed meanwhile; else `build` runs again with a new transaction. Returns what the last run
 * returned. Throws what untilUnchanged() and commit() throw.
 */
export const nftUpdate = <T>(
  nl: Pick<NetlinkSocket, 'request' | 'dump' | 'exchange'>,
  op: string,
  build: (tx: NftTransaction) => T,
): T =>
  untilUnchanged(nl, op, generation => {
    const tx = new NftTransaction(generation)
    const result = build(tx)
    tx.commit(nl)
    return result
  })

const nothing = { family: 'inet', name: 'kubenet-never-there' } as const

/**
 * Would the kernel take the changes that `build` adds? It looks at all of them and takes none, as the last one cannot be
 * made. Throws what commit() would; the modules that the changes need may be loaded by it.
 */
export const nftProbe = (nl: Pick<NetlinkSocket, 'exchange'>, build: (tx: NftTransaction) => void): void => {
  const tx = new NftTransaction()
  build(tx)
  tx.deleteTable(nothing)
  try {
    tx.commit(nl)
  } catch (error) {
    if (!isFrom(error, 'netlink') || !error.message.includes(nothing.name)) throw error
  }
}

/** Would `add chain` leave it as it is? */
const isAsWanted = (found: ReadChain, chain: NftChain): boolean =>
  !('hook' in chain) ||
  (found.type === chain.type &&
    found.hook === chain.hook &&
    found.priority === chain.priority &&
    (chain.policy === undefined || found.policy === chain.policy))

/**
 * `add chain`, but of one that is not there as wanted. The kernel takes the addition of a chain that is there for a
 * change of it, keeps what the change replaced until no processor can use it any more, and lets a process that closes a
 * socket of nf_tables wait for that: 10 to 20 ms (nft_rcv_nl_event in net/netfilter/nf_tables_api.c). Looking costs
 * 0.1 ms.
 */
export const ensureChain = (
  nl: Pick<NetlinkSocket, 'request' | 'dump'>,
  tx: NftTransaction,
  table: NftTable,
  chain: NftChain,
): void => {
  const found = chainGet(nl, table, chain.name)
  if (!found || !isAsWanted(found, chain)) tx.addChain(table, chain)
}
