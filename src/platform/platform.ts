/**
 * The seam between the project and the JavaScript runtime it runs on. Three files implement it, chosen by the
 * condition on "#platform" in package.json; nothing else in the tree may know which runtime this is.
 * Only what is hot or missing in node:* is here: both runtimes have node:fs.
 */

/** A result of the kernel: a count or descriptor, or a negative errno, as system calls themselves return it. */
type SyscallResult = number

/** The functions of libc that neither runtime offers. All of them are synchronous and act on the calling thread. */
export type Libc = {
  /** socket(2). */
  socket(domain: number, type: number, protocol: number): SyscallResult
  /** bind(2) with a raw sockaddr. */
  bind(fd: number, address: Uint8Array): SyscallResult
  /** connect(2) with a raw sockaddr. */
  connect(fd: number, address: Uint8Array): SyscallResult
  /** setsockopt(2) with a raw value. */
  setsockopt(fd: number, level: number, name: number, value: Uint8Array): SyscallResult
  /** send(2): all of `data`, in one datagram. */
  send(fd: number, data: Uint8Array, flags: number): SyscallResult
  /**
   * recvfrom(2) into `buffer`, with the sender's raw sockaddr into `sender`, whose length `senderLength` has as a native
   * 32-bit number. With MSG_TRUNC the answer is the datagram's whole length, which may exceed the buffer.
   */
  recvfrom(
    fd: number,
    buffer: Uint8Array,
    flags: number,
    sender: Uint8Array,
    senderLength: Uint8Array,
  ): SyscallResult
  /** setns(2): moves the calling thread, and no other, into the namespace behind `fd`. */
  setns(fd: number, nstype: number): SyscallResult
  /** unshare(2): moves the calling thread, and no other, into new namespaces. */
  unshare(flags: number): SyscallResult
  /** flock(2). */
  flock(fd: number, operation: number): SyscallResult
  /** ioctl(2) with the address of a structure. */
  ioctl(fd: number, request: number, argument: Uint8Array): SyscallResult
  /** sync_file_range(2) of a whole file. */
  syncFileRange(fd: number, flags: number): SyscallResult
}

/** The result of a program. */
export type ProgramResult = {
  /** The exit code; 128 + the signal's number if a signal ended it, as a shell counts. */
  exitCode: number
  stdout: string
  stderr: string
}

export type Platform = {
  readonly libc: Libc
  /** The name, without folder, under which this process was started. */
  readonly invokedAs: string
  /** The words behind the program's name. */
  readonly args: readonly string[]
  /** The JavaScript runtime and its version, for people: nothing depends on it. */
  readonly runtime: string
  /** The file that is this program: what another plugin must have the same inode as to be this program too. */
  readonly programPath: string
  /** The SHA-512 of the UTF-8 form of `text`, in lower-case hex. */
  sha512Hex(text: string): string
  /**
   * Has `program` called when the process starts: now, or, where all modules are evaluated once at build time, in every
   * process that goes on from there. Before, a module must not ask for anything of the process or the system.
   */
  onStart(program: () => void): void
  /** Becomes another program; throws, as node:fs would, if that cannot be started. */
  exec(argv: readonly [string, ...string[]], env: Readonly<Record<string, string | undefined>>): never
  /** Ends the process, and nothing else: what is to be written has been. */
  exit(code: number): never
  /**
   * The next datagram of a socket, whenever it comes, into `buffer`: its length, or a negative errno. Other work goes on
   * meanwhile.
   */
  nextDatagram(fd: number, buffer: Uint8Array): Promise<SyscallResult>
  /**
   * Runs a program to its end. Rejects only if it cannot be started, with an error whose `code` is the errno's name, or
   * if it was killed because of its limit, with a `timeLimitError`.
   */
  run(argv: readonly [string, ...string[]], options: RunOptions): Promise<ProgramResult>
}

export type RunOptions = {
  /** The whole environment of the program; nothing is inherited beside it. */
  env: Record<string, string>
  /** The program's standard input; nothing if left out. */
  stdin?: string
  /** For a program that may be anything; none if left out. */
  limit?: RunLimit
}

/** When a program and all that it started are killed, and how much of each output is kept. */
type RunLimit = {
  readonly ms: number
  /** At least so many bytes of what it printed; the rest is dropped. */
  readonly outputBytes: number
}

/** Of a program that did not end in time. */
export const timeLimitError = (program: string, ms: number): Error =>
  new Error(`${program} has not ended after ${ms / 1000} s`)
