/** node:tty for programs that are made of QuickJS, and how wide a terminal is. */
import { syscall } from './kernel'

// <asm-generic/ioctls.h>
const TCGETS = 0x5401
const TIOCGWINSZ = 0x5413

/** More than struct termios of the kernel has on any architecture. */
const termiosBytes = 64
const winsizeBytes = 8

/** Is the descriptor that of a terminal? */
export const isatty = (fd: number): boolean =>
  syscall('ioctl', fd, TCGETS, new Uint8Array(termiosBytes)) === 0

/** The characters in a line of the terminal behind the descriptor; undefined where there is none, or none is known. */
export const columnsOf = (fd: number): number | undefined => {
  const size = new Uint16Array(winsizeBytes / 2) // struct winsize: rows, columns
  const answer = syscall('ioctl', fd, TIOCGWINSZ, new Uint8Array(size.buffer))
  return answer === 0 && size[1] ? size[1] : undefined
}
