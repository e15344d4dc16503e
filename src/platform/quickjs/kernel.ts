/** The names of the system calls that program.c knows the numbers of. */
type SyscallName =
  | 'bind'
  | 'clock_gettime'
  | 'close'
  | 'connect'
  | 'exit_group'
  | 'faccessat'
  | 'fchmod'
  | 'flock'
  | 'fsync'
  | 'ftruncate'
  | 'getcwd'
  | 'getdents64'
  | 'getpid'
  | 'getrandom'
  | 'ioctl'
  | 'kill'
  | 'linkat'
  | 'mkdirat'
  | 'openat'
  | 'pipe2'
  | 'ppoll'
  | 'pread64'
  | 'read'
  | 'readlinkat'
  | 'recvfrom'
  | 'renameat'
  | 'rt_sigprocmask'
  | 'sendto'
  | 'setns'
  | 'setsockopt'
  | 'signalfd4'
  | 'socket'
  | 'statfs'
  | 'statx'
  | 'sync_file_range'
  | 'unlinkat'
  | 'unshare'
  | 'utimensat'
  | 'wait4'
  | 'write'

/** The arguments of system calls: numbers, paths and other C strings, memory to read from or to write to. */
type SyscallArgument = number | string | Uint8Array

/**
 * The one thing program.c gives to the bundle: see there for what it does. Facts about the process are there only when
 * the program starts, not while its modules are evaluated: that happens once, at build time (frozen.c).
 */
declare const kernel: {
  /** argv, the program's own name first. */
  readonly arguments: readonly string[]
  /** environ: "NAME=value". */
  readonly environment: readonly string[]
  /** When the program began, in milliseconds of CLOCK_MONOTONIC. */
  readonly startedMs: number
  readonly numbers: Readonly<Record<SyscallName, number>>
  /** The kernel's answer, or a negative errno. A text with a NUL in it gives -EINVAL. */
  syscall(number: number, ...args: SyscallArgument[]): number
  decode(bytes: Uint8Array, start: number, end: number): string
  encode(text: string): ArrayBuffer
  /** Of the text's UTF-8, in lower-case hex. */
  sha512(text: string): string
  /** QuickJS parses more than JSON: the index where a text that it parsed is not JSON, -1 if all of it is. */
  looseJsonAt(text: string): number
  /** The errno's name and words. */
  error(errno: number): [name: string, words: string]
  /** Where bytes begin in others, from `start` on; -1 if nowhere. */
  find(bytes: Uint8Array, wanted: Uint8Array, start: number): number
  /** posix_spawn(3): the child's pid, or a negative errno. With `group` it leads a process group of its own. */
  spawn(
    path: string,
    argv: readonly string[],
    environment: readonly string[],
    stdin: number,
    stdout: number,
    stderr: number,
    group: boolean,
  ): number
  /** execve(2): a negative errno if it fails. */
  exec(path: string, argv: readonly string[], environment: readonly string[]): number
  abort(): never
  /** Called when the program starts. */
  start: () => void
  /** Called whenever no promise has anything to do; false ends the program. */
  turn: () => boolean
}

export const { abort, decode, encode, exec, find, looseJsonAt, sha512, spawn } = kernel

/** argv, the program's own name first. */
export const argv = (): readonly string[] => kernel.arguments

/** environ: "NAME=value". */
export const environment = (): readonly string[] => kernel.environment

/** When the program began, in milliseconds of CLOCK_MONOTONIC. */
export const startedMs = (): number => kernel.startedMs

/** A system call by its name: the kernel's answer, or a negative errno. */
export const syscall = (name: SyscallName, ...args: SyscallArgument[]): number =>
  kernel.syscall(kernel.numbers[name], ...args)

/** Sets what is called when the program starts. */
export const onStart = (program: () => void): void => {
  kernel.start = program
}

/** Sets what is called when no promise has anything to do. */
export const onTurn = (turn: () => boolean): void => {
  kernel.turn = turn
}

/** Of a failed system call, with the same properties and the same form of message as those of node:fs. `answer` is the negative errno. */
export const systemError = (answer: number, syscall: string, path?: string, dest?: string): Error => {
  const [code, words] = kernel.error(-answer)
  const object = path === undefined ? '' : ` '${path}'`
  const target = dest === undefined ? '' : ` -> '${dest}'`
  const message = `${code}: ${words.charAt(0).toLowerCase()}${words.slice(1)}, ${syscall}${object}${target}`
  return Object.assign(new Error(message), { code, errno: answer, syscall, path, dest })
}

/** Passes on an answer that is no error; throws a `systemError` otherwise. */
export const checked = (answer: number, call: string, path?: string, dest?: string): number => {
  if (answer < 0) throw systemError(answer, call, path, dest)
  return answer
}
