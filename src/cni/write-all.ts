import { writeSync } from 'node:fs'
import { errnoOf } from '../host/errno'

const retryMs = 1

/**
 * Writes all of a text, waiting while a pipe is full. Throws what node:fs throws otherwise: EPIPE if the reader has gone.
 */
export const writeAll = (fd: number, text: string): void => {
  const bytes = Buffer.from(text)
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(fd, bytes, written)
    } catch (error) {
      const errno = errnoOf(error)
      if (errno !== 'EAGAIN' && errno !== 'EINTR') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryMs)
    }
  }
}
