/** What a runtime keeps in files: the network's configuration, and what each pod's ADD was asked for and answered. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { resultOf } from './attach.mjs'
import { containerOf, netnsOf, network, setups } from './setups.mjs'

export const confDir = '/run/net.d'
const results = '/var/lib/cni/results'

/** A list of the setup's plugins, of a version that has GC; what a runtime gives by the pod is left out. */
const listOf = setup => ({
  cniVersion: '1.1.0',
  name: network,
  plugins: setups[setup].flatMap(({ plugins }) =>
    plugins.map(({ conf }) => {
      const { runtimeConfig = {}, ...own } = conf(0)
      return {
        ...own,
        capabilities: Object.fromEntries(Object.keys(runtimeConfig).map(name => [name, true])),
      }
    }),
  ),
})

/** Writes the setup's network into the folder of networks. */
export const writeNetwork = ({ setup }) => {
  mkdirSync(confDir, { recursive: true })
  writeFileSync(`${confDir}/10-${network}.conflist`, JSON.stringify(listOf(setup)))
}

/** Caches the results of pods that were added, as libcni does. */
export const remember = ({ setup, pods }) => {
  mkdirSync(results, { recursive: true })
  const config = Buffer.from(JSON.stringify(listOf(setup))).toString('base64')
  for (const pod of pods) {
    const entry = {
      kind: 'cniCacheV1',
      containerId: containerOf(pod),
      config,
      ifName: 'eth0',
      networkName: network,
      netns: `/run/netns/${netnsOf(pod)}`,
      cniArgs: [
        ['K8S_POD_NAMESPACE', 'bench'],
        ['K8S_POD_NAME', `pod-${pod}`],
      ],
      capabilityArgs: setups[setup].at(-1).plugins.at(-1).conf(pod).runtimeConfig,
      result: resultOf(pod, network),
    }
    writeFileSync(`${results}/${network}-${containerOf(pod)}-eth0`, JSON.stringify(entry), { mode: 0o600 })
  }
}
