/** What netlink sockets are made with, and their options as setsockopt(2) takes them. */

/** <sys/socket.h>, <asm-generic/socket.h> */
export const AF_NETLINK = 16
export const SOCK_RAW = 3
export const SOCK_CLOEXEC = 0o2000000
export const SOL_SOCKET = 1
export const SO_SNDBUF = 7
export const SO_RCVBUF = 8
export const SO_RCVTIMEO = 20
export const SO_SNDBUFFORCE = 32
export const SO_RCVBUFFORCE = 33
/** <linux/netlink.h> */
export const SOL_NETLINK = 270
export const NETLINK_CAP_ACK = 10
export const NETLINK_EXT_ACK = 11
export const NETLINK_GET_STRICT_CHK = 12

/** An int in host order: little-endian, as all machines are that there are programs for. */
export const int32 = (value: number): Buffer => {
  const buffer = Buffer.alloc(4)
  buffer.writeInt32LE(value)
  return buffer
}

/** struct timeval, whole microseconds, rounded up. */
export const timeval = (seconds: number): Buffer => {
  const buffer = Buffer.alloc(16)
  // As one number first: the kernel refuses a second in microseconds beside the seconds.
  const usec = Math.ceil(seconds * 1e6)
  buffer.writeBigInt64LE(BigInt(Math.floor(usec / 1e6)), 0)
  buffer.writeBigInt64LE(BigInt(usec % 1e6), 8)
  return buffer
}
