import type { Attachment, InterfaceID } from '../attachment/attachment'
import { checkIfName } from '../cni/args'
import { validName } from '../cni/conf'
import { CniError, ErrorCode } from '../cni/error'
import type { JsonObject } from '../cni/schema'

/** One pair of CNI_ARGS. */
export type CniArg = readonly [key: string, value: string]

/** The runtime's description of one attachment: SPEC.md, section 3, "Attachment Parameters". */
export type AttachmentParameters = InterfaceID & {
  /** Path of the container's network namespace; empty for a DEL when it is gone. */
  readonly netns: string
  /** For CNI_ARGS. Left out, CHECK and DEL use those of the ADD. */
  readonly args?: readonly CniArg[] | undefined
  /** Values by capability. Left out, CHECK and DEL use those of the ADD. */
  readonly capabilityArgs?: JsonObject | undefined
}

/** The attachment a runtime speaks of, and its network: what a cached result is found by. */
export const attachmentOn = (network: string, { containerID, ifName }: InterfaceID): Attachment => ({
  network,
  containerID,
  ifName,
})

const bad = (message: string, details = '') =>
  new CniError(ErrorCode.invalidEnvironment, message, { details })

/** Throws code 4, or 7 for the network's name, unless all three parts may become the name of a file. */
export const checkAttachment = ({ network, containerID, ifName }: Attachment): void => {
  if (!validName.test(network)) {
    throw new CniError(ErrorCode.invalidNetworkConfig, 'invalid characters found in network name', {
      details: network,
    })
  }
  if (containerID === '') throw bad('missing containerID')
  if (!validName.test(containerID)) throw bad('invalid characters in containerID', containerID)
  if (ifName === '') throw bad('interface name is empty')
  checkIfName(ifName)
}

/** CNI_ARGS ("K=V;K=V") as pairs, none for ""; throws code 4 for a pair without key or value. */
export const parseCniArgs = (text: string): CniArg[] =>
  text === ''
    ? []
    : text.split(';').map(pair => {
        const [key, value, ...rest] = pair.split('=')
        if (key && value && rest.length === 0) return [key, value]
        throw bad(`invalid CNI_ARGS pair ${JSON.stringify(pair)}`)
      })

/** The pod that pairs of CNI_ARGS name, "namespace/name"; undefined if they name none. */
export const podInPairs = (args: readonly CniArg[] = []): string | undefined => {
  const values = new Map(args)
  const name = values.get('K8S_POD_NAME')
  return name ? [values.get('K8S_POD_NAMESPACE'), name].filter(Boolean).join('/') : undefined
}

/** Pairs as CNI_ARGS has them. */
export const formatCniArgs = (args: readonly CniArg[]): string =>
  args.map(([key, value]) => `${key}=${value}`).join(';')

/** The parameters of a CHECK or DEL: as given, and what is left out as it was at the ADD. */
export const withCachedParameters = (
  attachment: AttachmentParameters,
  cached: Pick<AttachmentParameters, 'args' | 'capabilityArgs'> | undefined,
): AttachmentParameters => ({
  ...attachment,
  args: attachment.args ?? cached?.args,
  capabilityArgs: attachment.capabilityArgs ?? cached?.capabilityArgs,
})
