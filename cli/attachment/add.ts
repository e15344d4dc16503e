import { command } from '../../node/command/command'
import { placeOptions, placesOf } from '../../node/command/places'
import { addNetworkList } from '../../src/runtime/add'
import { networkNamed, requireNetworkAdmin, requirePlugins, runtimeOptions } from '../frame/networks'
import { attachmentArgs, attachmentOf, attachmentOptions, requireNetnsPath } from './attachment'

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
