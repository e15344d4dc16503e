import { command } from '../../node/command/command'
import { placeOptions, placesOf } from '../../node/command/places'
import { delNetworkList } from '../../src/runtime/del'
import { networkNamed, requireNetworkAdmin, requirePlugins, runtimeOptions } from '../frame/networks'
import { attachmentArgs, attachmentOf, attachmentOptions, describeAttachment } from './attachment'

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
