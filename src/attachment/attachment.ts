import { platform } from '#platform'

/** One interface of one container on one network: what a runtime's ADD makes, and what every object on a host is of. */
export type Attachment = { readonly network: string; readonly containerID: string; readonly ifName: string }

/** An attachment whose network goes without saying. */
export type InterfaceID = Pick<Attachment, 'containerID' | 'ifName'>

/** The attachment as one text, to compare and to look up. None of the three holds a line break. */
export const textOf = ({ network, containerID, ifName }: Attachment): string =>
  `${network}\n${containerID}\n${ifName}`

/** The hash all names that are made up for an attachment come from: 128 hex digits. */
export const hashOf = (id: Attachment): string => platform.sha512Hex(textOf(id))

const keyDigits = 24

/** The name of an attachment's record, which is also how claims of host ports name their holder. */
export const keyOf = (id: Attachment): string => hashOf(id).slice(0, keyDigits)

/** An alias has at most 255 bytes (<linux/if.h>, IFALIASZ): two names of this length and an interface's always fit. */
const longestName = 100

/** A long name as texts have it that have no room for it. No name has a colon in it. */
export const shortName = (name: string): string =>
  name.length <= longestName ? name : `sha512:${platform.sha512Hex(name).slice(0, 64)}`

/** The attachment as texts name it that have no room for long names. */
export const shortened = ({ network, containerID, ifName }: Attachment): Attachment => ({
  network: shortName(network),
  containerID: shortName(containerID),
  ifName,
})

/** Is it on this network? It may have been read from a text that had no room for a long name. */
export const isOn = (id: Pick<Attachment, 'network'>, network: string): boolean =>
  id.network === network || id.network === shortName(network)

/**
 * Tells whether an attachment is among those given, at a cost that does not grow with their number. It may have been
 * read from a text that had no room for long names.
 */
export const isAmong = (attachments: readonly Attachment[]): ((id: Attachment) => boolean) => {
  const known = new Set(attachments.flatMap(id => [textOf(id), textOf(shortened(id))]))
  return id => known.has(textOf(id))
}

// Runtimes of Kubernetes name the pod of a container in CNI_ARGS. People know pods by their names, and container IDs only
// from messages, so that both stand side by side wherever the name is known.

type Container = {
  readonly containerID: string
  /** "namespace/name" */
  readonly pod?: string | undefined
}

/** "4f2a (pod default/web)", or "4f2a". */
export const containerWithPod = ({ containerID, pod }: Container): string =>
  pod ? `${containerID} (pod ${pod})` : containerID

/** The pod in CNI_ARGS, "namespace/name"; undefined if it names none. */
export const podInArgs = (args: string): string | undefined => {
  const value = (key: string) => new RegExp(`(?:^|;)K8S_POD_${key}=([^;]*)`).exec(args)?.[1]
  const name = value('NAME')
  return name ? [value('NAMESPACE'), name].filter(Boolean).join('/') : undefined
}
