/** The functions of calls.c: system calls that take numbers and bytes, and answer as the kernel does. */
type Calls = Record<
  | 'bind'
  | 'connect'
  | 'exec'
  | 'exit_group'
  | 'flock'
  | 'ioctl'
  | 'pipe2'
  | 'ppoll'
  | 'recvfrom'
  | 'sendto'
  | 'setns'
  | 'setsockopt'
  | 'sha512'
  | 'socket'
  | 'spawn'
  | 'sync_file_range'
  | 'unshare'
  | 'wait4',
  (...args: (number | Uint8Array)[]) => number
>

let calls: Calls | undefined

/** A system call, `exec`, `spawn` or `sha512`. Loads the addon on the first one: VERSION and the like need none. */
export const call = (name: keyof Calls, ...args: (number | Uint8Array)[]): number => {
  calls ??= require('#addon') as Calls
  return calls[name](...args)
}

const digits = 128

/** The SHA-512 of the UTF-8 form of `text`, in lower-case hex. Not by node:crypto, which loads fifty modules. */
export const sha512Hex = (text: string): string => {
  const bytes = Buffer.from(text)
  const hex = Buffer.alloc(digits)
  call('sha512', bytes, bytes.length, hex)
  return hex.toString('latin1')
}
