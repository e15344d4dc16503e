import { resolve } from 'node:path'
import { command } from '../node/command/command'
import { usageError } from '../node/command/failure'
import { choice, flag, list, text, value, withDefault } from '../node/command/option'
import { placeOptions, placesOf } from '../node/command/places'
import { networkOptions, parseNetwork } from '../node/conflist/kubelet-flags'
import { runAgent } from './agent'
import { type ListenAddress, parseListenAddress } from './http'
import { logLevels } from './log'

const { podCidr: _saidByTheNode, logLevel: _thatOfTheAgent, ...networkValues } = networkOptions
const { cniBinDir: _notNeeded, ...places } = placeOptions
const folder = { completes: 'folder' } as const

const parseListen = (given: string): ListenAddress | 'none' => {
  if (given === 'none') return given
  const address = parseListenAddress(given)
  if (address) return address
  throw usageError(`${JSON.stringify(given)} is no address and port, as 127.0.0.1:10107 and :10107 are`)
}

const mostSeconds = 86_400

const parseSeconds = (given: string): number => {
  const seconds = Number(given)
  if (/^\d+$/.test(given) && seconds >= 1 && seconds <= mostSeconds) return seconds
  throw usageError(`${JSON.stringify(given)} is no number of seconds from 1 to ${mostSeconds}`)
}

const seconds = (summary: string) => value('seconds', summary, parseSeconds)

const options = {
  nodeName: text('name', "name of this node's Node object (default: NODE_NAME, else the host's name)"),
  kubeconfig: text('file', 'how to reach the cluster (default: KUBECONFIG, else the service account)', {
    completes: 'file',
  }),
  nodeRoutes: flag('keep a route to the pods of every other node; for nodes on one link'),
  clusterCidr: list('cidr', 'ranges of all pods: not masqueraded; routes lead only into them', parseNetwork),
  allowCidrChange: flag('write a new range although pods with addresses of the old one run'),
  removeOnExit: flag('remove the network and the routes at the end'),
  listen: withDefault(
    value('address', 'address of /healthz, /readyz and /metrics; "none": no listener', parseListen),
    '127.0.0.1:10107',
  ),
  resyncSeconds: withDefault(seconds('how often file and routes are compared'), '60'),
  idleSeconds: withDefault(seconds('silence after which a connection counts as dead'), '180'),
  logLevel: withDefault(
    choice('level', 'lowest level that is logged, with --log-file also by the plugins', logLevels),
    'info',
  ),
  dataDir: withDefault(
    text('folder', 'folder of the leases, which show running pods', folder),
    '/var/lib/cni/networks',
  ),
  ...places,
  ...networkValues,
}

export const agent = command({
  name: 'kubenet-agent',
  standsAlone: true,
  group: 'Set up a node',
  summary: "write the network of this node's Node object",
  about: [
    'Watches the Node object of this node and writes 10-kubenet.conflist for its pod ranges ' +
      '(spec.podCIDRs), as "kubenet config --write" does. Refuses a change that would leave running pods ' +
      'outside. With --node-routes it keeps routes to the pods of all other nodes, which must be on one ' +
      'link with this one. Runs until SIGTERM and logs JSON lines on standard output. See docs/cluster.md ' +
      'and deploy/.',
  ],
  options,
  examples: [
    { line: 'kubenet-agent --kubeconfig /etc/kubernetes/kubelet.conf', does: "with kubelet's credentials" },
    {
      line: 'kubenet-agent --node-routes --cluster-cidr 10.244.0.0/16,fd00:244::/48',
      does: "in a pod, without a cloud's route controller",
    },
  ],
  run: async ({ options: values, io }) => {
    const { nodeName, kubeconfig, clusterCidr, listen, ...rest } = values
    return runAgent({
      ...rest,
      ...placesOf({ ...values, cniBinDir: [] }, io),
      dataDir: resolve(io.cwd, values.dataDir),
      nodeName,
      credentials: { kubeconfig: kubeconfig && resolve(io.cwd, kubeconfig), env: io.env },
      clusterCIDRs: clusterCidr,
      listenAddress: listen === 'none' ? undefined : listen,
      values: { ...values, nonMasqueradeCidr: [...clusterCidr, ...values.nonMasqueradeCidr] },
      print: io.stdout,
    })
  },
})
