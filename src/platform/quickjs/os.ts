/** node:os for programs that are made of QuickJS: what plugins and the package netlink ask of it. */
import { readFileSync } from './fs'

/** Both architectures there are programs for are little-endian. */
export const endianness = (): 'LE' => 'LE'

/** The kernel's release, as uname(2) has it: "6.1.0-18-amd64". */
export const release = (): string => readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim()
