/** Counts what is in a log of `strace -f`. */

const isSend = name => name === 'sendto' || name === 'sendmsg'
const isReceive = name => name === 'recvfrom' || name === 'recvmsg'

/**
 * Calls that depend on how threads were scheduled, or on how a runtime keeps its memory: no property of the program,
 * and different in every run.
 */
const schedule = new Set([
  'futex',
  'sched_yield',
  'nanosleep',
  'clock_nanosleep',
  'epoll_pwait',
  'epoll_wait',
  'madvise',
  'mprotect',
  'mmap',
  'munmap',
  'rt_sigprocmask',
  'rt_sigreturn',
  'restart_syscall',
  'tgkill',
  'getpid',
])

const none = { execs: 0, threads: 0, syscalls: 0, opens: 0, netlinkSends: 0, netlinkReceives: 0, fsyncs: 0 }

// "812 openat(AT_FDCWD, "/etc/ld.so.cache", O_RDONLY|O_CLOEXEC) = 3": a call that is resumed later counts once.
const callOf = line => /^(?:\[pid +)?\d+\]? +([a-z_0-9]+)\(/.exec(line)?.[1]

/** Counts of one call's log: { execs, threads, syscalls, opens, netlinkSends, netlinkReceives, fsyncs }. */
export const countSyscalls = log => {
  const counts = { ...none }
  for (const line of log.split('\n')) {
    const name = callOf(line)
    if (!name || schedule.has(name)) continue
    counts.syscalls++
    // What env(1) and the like try along PATH is no program started.
    if (name === 'execve' && !line.includes(' = -1 ')) counts.execs++
    if (name === 'clone' || name === 'clone3') counts.threads++
    if (name === 'open' || name === 'openat' || name === 'openat2') counts.opens++
    if (isSend(name)) counts.netlinkSends++
    if (isReceive(name)) counts.netlinkReceives++
    if (name === 'fsync' || name === 'fdatasync') counts.fsyncs++
  }
  return counts
}
