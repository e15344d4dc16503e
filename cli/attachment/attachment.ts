/** The attachment that `add`, `check` and `del` are about, named as cnitool names it. */

import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { platform } from '#platform'
import { required } from '../../node/command/command'
import { CliError, ExitCode, usageError } from '../../node/command/failure'
import type { CliIo } from '../../node/command/io'
import { naming, value } from '../../node/command/option'
import { containerWithPod } from '../../src/attachment/pod'
import { checkIfName } from '../../src/cni/args'
import { validName } from '../../src/cni/conf'
import { CniError } from '../../src/cni/error'
import { isJsonObject, type JsonObject } from '../../src/cni/schema'
import {
  type AttachmentParameters,
  type CniArg,
  parseCniArgs,
  podInPairs,
} from '../../src/runtime/attachment'

const defaultIfName = 'eth0'

/** The hex digits of sha512 that cnitool takes. */
const idDigits = 20

/** The container ID that cnitool makes of the path of a namespace: cnitool/cmd/root.go, setupRuntimeConfig. */
export const cnitoolContainerID = (netns: string): string =>
  `cnitool-${platform.sha512Hex(netns).slice(0, idDigits)}`

const parseIfName = (name: string): string => {
  try {
    checkIfName(name)
    return name
  } catch (error) {
    throw error instanceof CniError
      ? usageError([error.message, error.details].filter(Boolean).join(': '))
      : error
  }
}

const parseContainerID = (id: string): string => {
  if (validName.test(id)) return id
  throw usageError(
    `${JSON.stringify(id)} is no container ID: letters, digits, "_", "." and "-", the first a letter or digit`,
  )
}

export const attachmentArgs = {
  network: required('name of the network', 'network'),
  netns: required("path of the container's network namespace: /run/netns/NAME, /proc/PID/ns/net", 'netns'),
}

export const attachmentOptions = {
  ifname: {
    ...value(
      'name',
      `name of the interface in the container (default: CNI_IFNAME, else ${defaultIfName})`,
      parseIfName,
    ),
    short: 'i',
  },
  containerId: value(
    'id',
    'container ID (default: made from the path of the namespace, as cnitool does)',
    parseContainerID,
  ),
}

const readCapabilityArgs = (given: string): JsonObject => {
  let read: unknown
  try {
    read = JSON.parse(given)
  } catch {
    // Said below, with everything else that is no object.
  }
  if (isJsonObject(read)) return read
  throw usageError(`not a JSON object: ${given}`)
}

const readArgs = (given: string | undefined): readonly CniArg[] | undefined =>
  given ? naming('CNI_ARGS', () => parseCniArgs(given)) : undefined

type AttachmentValues = {
  readonly ifname: string | undefined
  readonly containerId: string | undefined
}

/** The attachment that arguments, options and environment name. No path at all is a namespace that is gone. */
export const attachmentOf = (
  netns: string,
  { ifname, containerId }: AttachmentValues,
  { env, cwd }: CliIo,
): AttachmentParameters => {
  if (netns === '' && containerId === undefined) {
    throw usageError('without a network namespace, name the container with --container-id')
  }
  const path = netns && resolve(cwd, netns)
  return {
    containerID: containerId ?? cnitoolContainerID(path),
    netns: path,
    ifName: ifname ?? naming('CNI_IFNAME', () => parseIfName(env.CNI_IFNAME || defaultIfName)),
    args: readArgs(env.CNI_ARGS),
    capabilityArgs: env.CAP_ARGS
      ? naming('CAP_ARGS', () => readCapabilityArgs(env.CAP_ARGS ?? ''))
      : undefined,
  }
}

/** Throws unless there is something at the path of the attachment's namespace. */
export const requireNetnsPath = ({ netns }: AttachmentParameters): void => {
  if (netns === '') throw usageError('the path of the network namespace is empty')
  if (statSync(netns, { throwIfNoEntry: false })) return
  const name = netns.slice(netns.lastIndexOf('/') + 1)
  const mounted = `/run/netns/${name}`
  const remedy = statSync(mounted, { throwIfNoEntry: false })
    ? `did you mean ${mounted}?`
    : `"ip netns add ${name}" makes ${mounted}`
  throw new CliError(ExitCode.notFound, `there is no network namespace ${netns}`, remedy)
}

/** An attachment in words. */
export const describeAttachment = ({ ifName, containerID, args }: AttachmentParameters): string =>
  `"${ifName}" of ${containerWithPod({ containerID, pod: podInPairs(args) })}`
