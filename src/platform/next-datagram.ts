/** Where node:fs has a pool of threads: one of them waits in read(2), which takes one datagram from a socket. */
import { read } from 'node:fs'
import type { Platform } from './platform'

/** <asm-generic/errno-base.h>, of a failure that names none. */
const EIO = 5

export const nextDatagram: Platform['nextDatagram'] = (fd, buffer) =>
  new Promise(resolve => {
    read(fd, buffer, 0, buffer.length, null, (error, length) => {
      resolve(error ? (error.errno ?? -EIO) : length)
    })
  })
