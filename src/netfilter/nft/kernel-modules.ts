/** Which modules of the kernel changes of nftables need beside nf_tables itself: distributions build them apart. */
import type { Expression } from './wire/expression'
import type { NftFamily } from './wire/message'

/**
 * The modules that expressions are in, as of Linux 5.10; newer kernels have some of them in nf_tables. A rule of the
 * family bridge that looks at an interface or a protocol is refused without nft_meta_bridge.
 */
const moduleOf = (family: NftFamily, expression: string): string | undefined => {
  switch (expression) {
    case 'meta':
      return family === 'bridge' ? 'nft_meta_bridge' : undefined
    case 'fib':
      return family === 'inet' ? 'nft_fib_inet' : family === 'ip' ? 'nft_fib_ipv4' : 'nft_fib_ipv6'
    case 'ct':
    case 'masq':
    case 'nat':
      return `nft_${expression}`
    default:
      return undefined
  }
}

/** The modules that a rule with these expressions needs. */
export const modulesOfRule = (family: NftFamily, expressions: readonly Expression[]): string[] => [
  ...new Set(expressions.flatMap(({ name }) => moduleOf(family, name) ?? [])),
]

/** The modules that a base chain of this type needs. */
export const modulesOfChain = (type: string | undefined): string[] =>
  type === 'nat' ? ['nft_chain_nat'] : []

/** How the kernel says that it does not know a kind of expression, chain or table. */
const unknownKind = ['ENOENT', 'EOPNOTSUPP', 'EAFNOSUPPORT']

/** The remedy if the kernel refuses with that errno, because these modules are missing; "" if they are not why. */
export const remedyFor = (errno: string, modules: readonly string[]): string =>
  unknownKind.includes(errno) && modules.length > 0
    ? `the kernel may lack ${modules.join(', ')}: try "modprobe -a ${modules.join(' ')}"; if there is no such module, ` +
      "install the distribution's package of extra kernel modules"
    : ''
