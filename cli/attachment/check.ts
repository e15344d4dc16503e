import { command } from '../../node/command/command'
import { CliError, ExitCode } from '../../node/command/failure'
import { placeOptions, placesOf } from '../../node/command/places'
import { CniError, ErrorCode } from '../../src/cni/error'
import { checkNetworkList } from '../../src/runtime/check'
import { networkNamed, requireNetworkAdmin, requirePlugins, runtimeOptions } from '../frame/networks'
import {
  attachmentArgs,
  attachmentOf,
  attachmentOptions,
  describeAttachment,
  requireNetnsPath,
} from './attachment'

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
