/**
 * Text that goes out, for people. Others have chosen some of it: a container names its interfaces, a pod or a file may be
 * called anything. And a terminal obeys what it is shown: escape sequences, and marks that turn the direction of writing
 * round.
 */
import { writeSync } from 'node:fs'
import { errnoOf } from './errno'

/** C0 and C1 control characters and DEL, line and paragraph separators, and Unicode's property Bidi_Control. */
const controls =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is to be taken out
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

const escapeOf = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`

/**
 * A text as one line that controls no terminal: ESC becomes "\u001b". JSON escapes alike, so JSON on one line stays the
 * same value.
 */
export const printable = (text: string): string => text.replace(controls, escapeOf)

/** The same of a text of several lines, which keep their ends. */
export const printableLines = (text: string): string =>
  text.replace(controls, char => (char === '\n' ? char : escapeOf(char)))

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
