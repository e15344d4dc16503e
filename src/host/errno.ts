/** <asm-generic/errno-base.h>, <asm-generic/errno.h>: the errnos the kernel's network code answers with. */
const errnos: Record<number, readonly [name: string, text: string]> = {
  1: ['EPERM', 'operation not permitted'],
  2: ['ENOENT', 'no such file or directory'],
  3: ['ESRCH', 'no such process'],
  4: ['EINTR', 'interrupted system call'],
  5: ['EIO', 'input/output error'],
  6: ['ENXIO', 'no such device or address'],
  7: ['E2BIG', 'argument list too long'],
  9: ['EBADF', 'bad file descriptor'],
  11: ['EAGAIN', 'resource temporarily unavailable'],
  12: ['ENOMEM', 'cannot allocate memory'],
  13: ['EACCES', 'permission denied'],
  14: ['EFAULT', 'bad address'],
  16: ['EBUSY', 'device or resource busy'],
  17: ['EEXIST', 'file exists'],
  18: ['EXDEV', 'invalid cross-device link'],
  19: ['ENODEV', 'no such device'],
  20: ['ENOTDIR', 'not a directory'],
  21: ['EISDIR', 'is a directory'],
  22: ['EINVAL', 'invalid argument'],
  23: ['ENFILE', 'too many open files in system'],
  24: ['EMFILE', 'too many open files'],
  27: ['EFBIG', 'file too large'],
  28: ['ENOSPC', 'no space left on device'],
  30: ['EROFS', 'read-only file system'],
  31: ['EMLINK', 'too many links'],
  32: ['EPIPE', 'broken pipe'],
  33: ['EDOM', 'numerical argument out of domain'],
  34: ['ERANGE', 'numerical result out of range'],
  36: ['ENAMETOOLONG', 'file name too long'],
  38: ['ENOSYS', 'function not implemented'],
  39: ['ENOTEMPTY', 'directory not empty'],
  40: ['ELOOP', 'too many levels of symbolic links'],
  61: ['ENODATA', 'no data available'],
  71: ['EPROTO', 'protocol error'],
  74: ['EBADMSG', 'bad message'],
  75: ['EOVERFLOW', 'value too large for defined data type'],
  85: ['ERESTART', 'interrupted system call should be restarted'],
  90: ['EMSGSIZE', 'message too long'],
  93: ['EPROTONOSUPPORT', 'protocol not supported'],
  95: ['EOPNOTSUPP', 'operation not supported'],
  97: ['EAFNOSUPPORT', 'address family not supported by protocol'],
  98: ['EADDRINUSE', 'address already in use'],
  99: ['EADDRNOTAVAIL', 'cannot assign requested address'],
  100: ['ENETDOWN', 'network is down'],
  101: ['ENETUNREACH', 'network is unreachable'],
  105: ['ENOBUFS', 'no buffer space available'],
  107: ['ENOTCONN', 'transport endpoint is not connected'],
  110: ['ETIMEDOUT', 'connection timed out'],
  111: ['ECONNREFUSED', 'connection refused'],
  113: ['EHOSTUNREACH', 'no route to host'],
}

/** The symbolic name of an errno, sign ignored; "errno 999" for one not in the table. */
export const errnoName = (errno: number): string => errnos[Math.abs(errno)]?.[0] ?? `errno ${Math.abs(errno)}`

/** What strerror(3) says of an errno's name, in lower case; empty for an unknown one. */
export const errnoText = (name: string): string =>
  Object.values(errnos).find(row => row[0] === name)?.[1] ?? ''

/** The errno's name of a failed system call, as node:fs gives it ("ENOENT"); undefined for anything else. */
export const errnoOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

/** Did a system call on a file fail, as on a file system that is read-only or full? */
export const isFileError = (error: unknown): boolean =>
  errnoOf(error) !== undefined &&
  error instanceof Error &&
  'syscall' in error &&
  typeof error.syscall === 'string'

/** Is it an errno that may be gone the next time: a lock, a table that kept changing, memory, too many open files? */
export const isTransient = (errno: string): boolean =>
  ['EAGAIN', 'EINTR', 'EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'].includes(errno)
