/** The attachment that `add`, `check` and `del` are about, named as cnitool names it. */
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { platform } from '#platform'
import { command, required } from '../node/command/command'
import { CliError, ExitCode, usageError } from '../node/command/failure'
import type { CliIo } from '../node/command/io'
import { naming, value } from '../node/command/option'
import { placeOptions, placesOf } from '../node/command/places'
import { containerWithPod } from '../src/attachment/attachment'
import { checkIfName } from '../src/cni/args'
import { validName } from '../src/cni/conf'
import { CniError, ErrorCode } from '../src/cni/error'
import { isJsonObject, type JsonObject } from '../src/cni/schema'
import { addNetworkList } from '../src/runtime/add'
import { type AttachmentParameters, type CniArg, parseCniArgs, podInPairs } from '../src/runtime/attachment'
import { checkNetworkList } from '../src/runtime/check'
import { delNetworkList } from '../src/runtime/del'
import { networkNamed, requireNetworkAdmin, requirePlugins, runtimeOptions } from './frame/networks'

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

const attachmentArgs = {
  network: required('name of the network', 'network'),
  netns: required("path of the container's network namespace: /run/netns/NAME, /proc/PID/ns/net", 'netns'),
}

const attachmentOptions = {
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
const requireNetnsPath = ({ netns }: AttachmentParameters): void => {
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
const describeAttachment = ({ ifName, containerID, args }: AttachmentParameters): string =>
  `"${ifName}" of ${containerWithPod({ containerID, pod: podInPairs(args) })}`

/** As cnitool indents the results it prints. */
const resultIndent = 4

export const add = command({
  name: 'add',
  group: 'Attach containers',
  summary: 'attach a network namespace to a network and print the result',
  about: [
    "Calls ADD of the network's plugins and caches the result as cnitool and containerd do, so each can " +
      'check and delete what another added. If a plugin fails, all are undone.',
  ],
  args: attachmentArgs,
  options: { ...attachmentOptions, ...placeOptions },
  examples: [
    {
      line: 'ip netns add blue && kubenet add pods /run/netns/blue',
      does: 'make eth0 in a namespace',
    },
    {
      line: `CAP_ARGS='{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]}' kubenet add pods /run/netns/blue`,
      does: 'with a host port',
    },
    { line: 'kubenet add pods /run/netns/blue -i net1', does: 'add a second interface' },
  ],
  run: async ({ args, options, io }) => {
    const places = placesOf(options, io)
    const network = networkNamed(args.network, places, io)
    const attachment = attachmentOf(args.netns, options, io)
    requireNetnsPath(attachment)
    requirePlugins(network, places)
    requireNetworkAdmin()
    const result = await addNetworkList(network, attachment, {
      ...runtimeOptions(places, io),
      onFailure: 'delete',
    })
    const { containerID, ifName, netns } = attachment
    return {
      json: { network: network.name, containerID, ifName, netns, result },
      text: () => `${JSON.stringify(result, null, resultIndent)}\n`,
    }
  },
})

const notFoundError = (error: unknown): unknown =>
  error instanceof CniError && error.code === ErrorCode.unknownContainer
    ? new CliError(ExitCode.notFound, error.message, error.details, { cause: error })
    : error

export const check = command({
  name: 'check',
  group: 'Attach containers',
  summary: 'check that a network namespace is attached as it was added',
  about: ["Calls CHECK of the network's plugins with the cached result and prints the first difference."],
  args: attachmentArgs,
  options: { ...attachmentOptions, ...placeOptions },
  examples: [{ line: 'kubenet check pods /run/netns/blue', does: 'check the namespace blue' }],
  run: async ({ args, options, io }) => {
    const places = placesOf(options, io)
    const network = networkNamed(args.network, places, io)
    const attachment = attachmentOf(args.netns, options, io)
    requireNetnsPath(attachment)
    requirePlugins(network, places)
    requireNetworkAdmin()
    try {
      await checkNetworkList(network, attachment, runtimeOptions(places, io))
    } catch (error) {
      throw notFoundError(error)
    }
    const { containerID, ifName, netns } = attachment
    const checked = !network.disableCheck
    const says = checked ? 'is as it was added' : 'is not checked: the network has disableCheck'
    return {
      json: { network: network.name, containerID, ifName, netns, checked },
      text: () => `${network.name}: ${describeAttachment(attachment)} ${says}\n`,
    }
  },
})

export const del = command({
  name: 'del',
  group: 'Attach containers',
  summary: 'detach a network namespace from a network',
  about: [
    'Calls DEL of every plugin of the network, even if one fails or the namespace is gone. Succeeds if ' +
      'nothing was added. If a plugin is missing, it deletes nothing.',
  ],
  args: attachmentArgs,
  options: { ...attachmentOptions, ...placeOptions },
  examples: [
    { line: 'kubenet del pods /run/netns/blue', does: 'remove interface, address, rules and host ports' },
    { line: 'kubenet del pods "" --container-id 4f2a', does: 'a container of another runtime' },
  ],
  run: async ({ args, options, io }) => {
    const places = placesOf(options, io)
    const network = networkNamed(args.network, places, io)
    const attachment = attachmentOf(args.netns, options, io)
    requirePlugins(network, places)
    requireNetworkAdmin()
    await delNetworkList(network, attachment, runtimeOptions(places, io))
    const { containerID, ifName, netns } = attachment
    return {
      json: { network: network.name, containerID, ifName, netns },
      text: () => `${network.name}: ${describeAttachment(attachment)} is detached\n`,
    }
  },
})
