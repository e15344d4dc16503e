import { type Attribute, putU32, readAttributeList, readAttributes, readIndexAt, readText } from './message'

/** <linux/pkt_cls.h> */
const TCA_U32_CLASSID = 1
const TCA_U32_SEL = 5
const TCA_U32_ACT = 7
const TC_U32_TERMINAL = 1
const TCA_ACT_KIND = 1
const TCA_ACT_OPTIONS = 2
const TC_ACT_STOLEN = 4
/** <linux/tc_act/tc_mirred.h> */
const TCA_MIRRED_PARMS = 2
const TCA_EGRESS_REDIR = 1

// <linux/pkt_cls.h>                               offset
// struct tc_u32_sel {
//   unsigned char flags, offshift, nkeys;         0, 1, 2
//   __be16 offmask; __u16 off; short offoff;      4, 6, 8
//   short hoff; __be32 hmask;                     10, 12
//   struct tc_u32_key keys[];                     16
// };
// struct tc_u32_key {
//   __be32 mask, val; int off, offmask;           0, 4, 8, 12
// };                                              16 bytes
const SIZEOF_TC_U32_SEL = 16
const SIZEOF_TC_U32_KEY = 16

/** One key whose mask is 0: every packet has it. */
const matchAll = (): Buffer => {
  const selector = Buffer.alloc(SIZEOF_TC_U32_SEL + SIZEOF_TC_U32_KEY)
  selector[0] = TC_U32_TERMINAL
  selector[2] = 1
  return selector
}

const matchesAll = (selector: Buffer): boolean => {
  const keys = selector[2] ?? 0
  if (selector.length < SIZEOF_TC_U32_SEL + keys * SIZEOF_TC_U32_KEY) return false
  for (let i = 0; i < keys; i++) {
    if (selector.readUInt32BE(SIZEOF_TC_U32_SEL + i * SIZEOF_TC_U32_KEY) !== 0) return false
  }
  return true
}

// <linux/tc_act/tc_mirred.h>                      offset
// struct tc_mirred {
//   __u32 index, capab; int action;               0, 4, 8
//   int refcnt, bindcnt;                          12, 16
//   int eaction; __u32 ifindex;                   20, 24
// };                                              28 bytes
const SIZEOF_TC_MIRRED = 28

const mirred = (targetIndex: number): Buffer => {
  const parms = Buffer.alloc(SIZEOF_TC_MIRRED)
  parms.writeInt32LE(TC_ACT_STOLEN, 8)
  parms.writeInt32LE(TCA_EGRESS_REDIR, 20)
  parms.writeUInt32LE(targetIndex, 24)
  return parms
}

/** The kind of an action, by which the kernel finds its module. */
export const actionKind = (kind: string): Attribute => [TCA_ACT_KIND, Buffer.from(`${kind}\0`)]

/** TCA_OPTIONS of a u32 filter that sends every packet to another interface instead. */
export const redirectOptions = (targetIndex: number, classID: number): Attribute[] => [
  [TCA_U32_SEL, matchAll()],
  [TCA_U32_CLASSID, putU32(classID)],
  [TCA_U32_ACT, [[1, [actionKind('mirred'), [TCA_ACT_OPTIONS, [[TCA_MIRRED_PARMS, mirred(targetIndex)]]]]]]],
]

/**
 * The ifindex to which a u32 filter redirects every packet, read from its TCA_OPTIONS; 0 if that interface is gone.
 * Undefined for a filter that does anything else first, or does not match every packet.
 */
export const readRedirect = (options: Buffer): number | undefined => {
  const attributes = readAttributes(options)
  const selector = attributes.get(TCA_U32_SEL)
  const actions = attributes.get(TCA_U32_ACT)
  const first = actions && readAttributeList(actions)[0]?.value
  if (!selector || !matchesAll(selector) || !first) return undefined
  const action = readAttributes(first)
  const details = action.get(TCA_ACT_OPTIONS)
  if (readText(action.get(TCA_ACT_KIND)) !== 'mirred' || !details) return undefined
  const parms = readAttributes(details).get(TCA_MIRRED_PARMS)
  if (!parms || parms.length < SIZEOF_TC_MIRRED) return undefined
  return parms.readInt32LE(20) === TCA_EGRESS_REDIR ? readIndexAt(parms, 24) : undefined
}
