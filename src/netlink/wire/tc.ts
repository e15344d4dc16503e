import { type Attribute, messageBody, readAttributes, readIndexAt, readNumber, readText } from './message'

/** <linux/rtnetlink.h> */
export const RTM_NEWQDISC = 36
export const RTM_DELQDISC = 37
export const RTM_GETQDISC = 38
export const RTM_NEWTFILTER = 44
export const RTM_DELTFILTER = 45
export const RTM_GETTFILTER = 46
export const RTM_NEWACTION = 48
const TCA_KIND = 1
const TCA_OPTIONS = 2
export const TCA_STAB = 8
const TCA_CHAIN = 11
const TCA_ACT_TAB = 1

/** <linux/pkt_sched.h>: a handle is "major:minor", 16 bits each. */
export const TC_H_ROOT = 0xffffffff
export const TC_H_INGRESS = 0xfffffff1
/** Where a clsact keeps the filters on what arrives. An ingress qdisc has them nowhere else, and takes this for it. */
export const TC_H_MIN_INGRESS = 0xfff2

/** The handle that tc writes as "$major:$minor", both in hex. */
export const tcHandle = (major: number, minor: number): number => major * 0x10000 + minor

// <linux/rtnetlink.h>                             offset
// struct tcmsg {
//   unsigned char tcm_family, pad1;               0
//   unsigned short pad2;                          2
//   int tcm_ifindex;                              4
//   __u32 tcm_handle, tcm_parent;                 8, 12
//   __u32 tcm_info;                               16
// };                                              20 bytes
const SIZEOF_TCMSG = 20

/** The object of a message. `info` holds a filter's priority and protocol. */
type TcInfo = { index: number; handle?: number; parent?: number; info?: number }

const tcMsg = ({ index, handle = 0, parent = 0, info = 0 }: TcInfo): Buffer => {
  const header = Buffer.alloc(SIZEOF_TCMSG)
  header.writeInt32LE(index, 4)
  header.writeUInt32LE(handle, 8)
  header.writeUInt32LE(parent, 12)
  header.writeUInt32LE(info, 16)
  return header
}

/** The body of a request about a qdisc or a filter. */
export const tcBody = (
  header: TcInfo,
  kind: string,
  options: Attribute[1],
  more: readonly Attribute[] = [],
): Uint8Array[] =>
  messageBody(tcMsg(header), [[TCA_KIND, Buffer.from(`${kind}\0`)], [TCA_OPTIONS, options], ...more])

/** The body of a request that names a qdisc, or a place for one, without saying what it is. */
export const tcPlace = (header: TcInfo): Uint8Array[] => [tcMsg(header)]

// <linux/rtnetlink.h>                             offset
// struct tcamsg {
//   unsigned char tca_family, tca__pad1;          0
//   unsigned short tca__pad2;                     2
// };                                              4 bytes
const SIZEOF_TCAMSG = 4

/** The body of a request about actions that stand on their own. */
export const tcActionBody = (actions: readonly Attribute[]): Uint8Array[] =>
  messageBody(Buffer.alloc(SIZEOF_TCAMSG), [[TCA_ACT_TAB, actions]])

/** A qdisc or a filter as the kernel describes it. */
export type TcObject = {
  /** The interface's ifindex. */
  readonly index: number
  readonly handle: number
  readonly parent: number
  /** A filter's priority and protocol. */
  readonly info: number
  /** A filter's chain: packets begin in 0, and get to others only if a filter sends them there. */
  readonly chain: number
  /** "tbf", "ingress", "u32", … */
  readonly kind: string
  /** TCA_OPTIONS as it came: each kind has a layout of its own. */
  readonly options: Buffer | undefined
}

/** Reads an RTM_NEWQDISC or RTM_NEWTFILTER message. */
export const readTc = (body: Buffer): TcObject => {
  const attributes = readAttributes(body, SIZEOF_TCMSG)
  return {
    index: readIndexAt(body, 4),
    handle: body.readUInt32LE(8),
    parent: body.readUInt32LE(12),
    info: body.readUInt32LE(16),
    chain: readNumber(attributes.get(TCA_CHAIN)) ?? 0,
    kind: readText(attributes.get(TCA_KIND)),
    options: attributes.get(TCA_OPTIONS),
  }
}
