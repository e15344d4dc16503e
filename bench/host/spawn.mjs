/**
 * Starts programs as cheaply as the C library can, posix_spawn(3), and waits for them without an event loop. Node's own
 * spawnSync forks a process of this size first, a millisecond that would be added to every time measured.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import koffi from 'koffi'

const libc = koffi.load('libc.so.6')
const posixSpawn = libc.func(
  'int posix_spawn(_Out_ int *pid, const char *path, const void *actions, const void *attributes, const char **argv, const char **envp)',
)
const actionsInit = libc.func('int posix_spawn_file_actions_init(void *actions)')
const actionsDup2 = libc.func('int posix_spawn_file_actions_adddup2(void *actions, int fd, int newFd)')
const actionsDestroy = libc.func('int posix_spawn_file_actions_destroy(void *actions)')
const attributesInit = libc.func('int posix_spawnattr_init(void *attributes)')
const attributesSetFlags = libc.func('int posix_spawnattr_setflags(void *attributes, short flags)')
const attributesSetSignals = libc.func('int posix_spawnattr_setsigdefault(void *attributes, const void *set)')
const sigfillset = libc.func('int sigfillset(void *set)')
const wait4 = libc.func('int wait4(int pid, _Out_ int *status, int options, void *usage)')
const pipe2 = libc.func('int pipe2(void *fds, int flags)')

// Room for the C library's types on any architecture: they have 80, 336 and 128 bytes in glibc on x86-64.
const opaque = 512

const O_CLOEXEC = 0o2000000
const POSIX_SPAWN_SETSIGDEF = 4
const WNOHANG = 1
const EINTR = 4

// Node ignores SIGPIPE, and what is ignored stays so in a program that is started.
const attributes = Buffer.alloc(opaque)
const allSignals = Buffer.alloc(opaque)
attributesInit(attributes)
sigfillset(allSignals)
attributesSetSignals(attributes, allSignals)
attributesSetFlags(attributes, POSIX_SPAWN_SETSIGDEF)

const pipe = () => {
  const fds = new Int32Array(2)
  if (pipe2(fds, O_CLOEXEC) !== 0) throw new Error(`pipe2: errno ${koffi.errno()}`)
  return { reader: fds[0], writer: fds[1] }
}

/** A pipe that holds `text` and then ends: less than the 64 KiB it takes without a reader. */
const filledPipe = text => {
  const { reader, writer } = pipe()
  writeSync(writer, text)
  closeSync(writer)
  return reader
}

const readAll = fd => {
  const chunks = []
  const chunk = Buffer.alloc(65536)
  for (;;) {
    const length = readSync(fd, chunk)
    if (length === 0) break
    chunks.push(Buffer.from(chunk.subarray(0, length)))
  }
  closeSync(fd)
  return Buffer.concat(chunks).toString('utf8')
}

/** Standard output: a pipe, or a file that no process reads. */
const outputTo = path =>
  path === undefined ? pipe() : { reader: openSync('/dev/null', 'r'), writer: openSync(path, 'w') }

/**
 * Starts a program and answers the running process. What it writes must fit the pipes, 64 KiB each; what may be more
 * goes to the file `into`. `begun` is the moment just before the call, in nanoseconds of process.hrtime.
 */
export const start = ({ argv, env = {}, stdin = '', into }) => {
  const input = filledPipe(stdin)
  const output = outputTo(into)
  const errors = pipe()
  const actions = Buffer.alloc(opaque)
  actionsInit(actions)
  actionsDup2(actions, input, 0)
  actionsDup2(actions, output.writer, 1)
  actionsDup2(actions, errors.writer, 2)
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  const pid = [0]
  const begun = process.hrtime.bigint()
  const failure = posixSpawn(pid, argv[0], actions, attributes, [...argv, null], [...variables, null])
  for (const fd of [input, output.writer, errors.writer]) closeSync(fd)
  actionsDestroy(actions)
  if (failure !== 0) throw new Error(`start ${argv[0]}: errno ${failure}`)
  return { pid: pid[0], argv, begun, output: output.reader, errors: errors.reader }
}

// <sys/resource.h>                                 offset
// struct rusage {
//   struct timeval ru_utime;   /* s64 s, s64 µs */  0
//   struct timeval ru_stime;                        16
// …
const usage = Buffer.alloc(opaque)

const milliseconds = offset =>
  Number(usage.readBigInt64LE(offset)) * 1000 + Number(usage.readBigInt64LE(offset + 8)) / 1000

/**
 * What has become of a process that wait4 reported with `status`: its exit code, its output, the milliseconds it took,
 * and those that it and the programs it started were running on a processor.
 */
const finish = (child, status, ended) => ({
  argv: child.argv,
  ms: Number(ended - child.begun) / 1e6,
  cpuMs: milliseconds(0) + milliseconds(16),
  code: (status & 0x7f) === 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f),
  stdout: readAll(child.output),
  stderr: readAll(child.errors),
})

/** Waits until one of the running processes has ended: [child, what became of it]. */
export const waitForAny = (children, { poll = false } = {}) => {
  for (;;) {
    const status = [0]
    const pid = wait4(-1, status, poll ? WNOHANG : 0, usage)
    const ended = process.hrtime.bigint()
    if (pid === 0) return undefined
    if (pid < 0) {
      if (koffi.errno() === EINTR) continue
      throw new Error(`wait4: errno ${koffi.errno()}`)
    }
    // The first process of a PID namespace also inherits orphans.
    const child = children.find(running => running.pid === pid)
    if (child) return [child, finish(child, status[0], ended)]
  }
}

/** Runs a program to its end. */
export const run = program => {
  const child = start(program)
  const [, outcome] = waitForAny([child])
  return outcome
}
