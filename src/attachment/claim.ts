/**
 * Claims of host ports, as the names of files have them and as records list them: "tcp-8080/any4", "udp-53/192.0.2.1".
 * Protocol, port, and one address of the host or all of a family.
 */

/** What a claim is for. */
export const formatClaim = (protocol: string, hostPort: number, where: string): string =>
  `${protocol}-${hostPort}/${where}`

/** The protocol, the port and the place of a claim. */
export const parseClaim = (claim: string): { protocol: string; hostPort: number; where: string } => {
  const [folder = '', where = ''] = claim.split('/')
  const [protocol = '', port = ''] = folder.split('-')
  return { protocol, hostPort: Number(port), where }
}

/** The place of a claim of every address of a family. */
export const everyAddress = (family: 4 | 6): string => `any${family}`

/** Is it for all addresses of a family? */
export const isEveryAddress = (where: string): boolean =>
  where === everyAddress(4) || where === everyAddress(6)

/** The family of a claim's place: "any4", "any6" or an address. */
export const familyOf = (where: string): 4 | 6 => (where === everyAddress(6) || where.includes(':') ? 6 : 4)
