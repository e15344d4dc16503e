/** Modules of the kernel. */
import { closeSync } from 'node:fs'
import { platform } from '#platform'

/** <sys/socket.h> */
const AF_UNIX = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000

/** <linux/sockios.h> */
const SIOCGIFFLAGS = 0x8913

/** struct ifreq of 64 bits; its name ends with a 0. */
const ifreqBytes = 40
const mostNameBytes = 15

/**
 * Has the kernel load a module, by the modprobe of the host: also from a container, which has none. It is a question
 * after an interface of that name, for which the kernel looks for a module (net/core/dev_ioctl.c, dev_load) if the
 * caller has CAP_SYS_MODULE. Whether it was found is to be seen from what the module makes.
 */
export const requestModule = (name: string): void => {
  if (name.length > mostNameBytes) throw new Error(`"${name}" is longer than an interface's name`)
  const { libc } = platform
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  if (fd < 0) throw new Error(`a socket: errno ${-fd}`)
  try {
    const request = new Uint8Array(ifreqBytes)
    for (let i = 0; i < name.length; i++) request[i] = name.charCodeAt(i)
    // There is no such interface: that answer is expected.
    libc.ioctl(fd, SIOCGIFFLAGS, request)
  } finally {
    closeSync(fd)
  }
}
