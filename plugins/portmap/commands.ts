import { validAttachments } from '../../src/cni/conf'
import { CniError, ErrorCode, runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import { endStep } from '../../src/host/log'
import type { Undo } from '../../src/host/undo'
import { forBackend, forEveryBackend } from './backend'
import { claimPorts, listOwners, ownerOf, portsOf, releasePorts } from './claims'
import { type PortMapping, type PortmapConf, readPortmapConf } from './config'
import { forgetFlowsToOthers, forgetFlowsToPod } from './conntrack'
import { ensureLocalnetRouting } from './localnet'

/** Reads the configuration for ADD and DEL, which say so in front of what is wrong with it. */
const readConf = (call: Call): PortmapConf => {
  try {
    return readPortmapConf(call)
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    throw new CniError(error.code, `failed to parse config: ${error.message}`, { details: error.details })
  }
}

const udpPorts = (mappings: readonly Pick<PortMapping, 'protocol' | 'hostPort'>[]): number[] =>
  mappings.filter(({ protocol }) => protocol === 'udp').map(({ hostPort }) => hostPort)

export const add = async (call: Call, undo: Undo): Promise<Result> => {
  const conf = readConf(call)
  const { prevResult: result, mappings, addresses } = conf
  if (!result) throw new CniError(ErrorCode.invalidNetworkConfig, 'must be called as chained plugin')
  if (mappings.length === 0 || addresses.length === 0) return result

  const { dead, repeated } = await claimPorts(call, conf)
  undo.add('give the host ports back', () => releasePorts(conf))
  for (const owner of dead)
    await forEveryBackend(backend => backend.unforward(owner.network, owner.containerID))
  endStep('claims')

  const backend = forBackend(conf.backend)
  undo.add('remove the rules of the host ports', () => backend.unforward(conf.network, conf.containerID))
  await backend.forward(conf, repeated)
  endStep('rules')

  // After the rules, so that what is forgotten comes back by them.
  for (const { addr } of addresses) {
    forgetFlowsToOthers(addr, udpPorts(mappings))
    if (conf.snat && addr.family === 4) ensureLocalnetRouting(addr, undo)
  }
  endStep('flows')
  return result
}

export const check = async (call: Call): Promise<void> => {
  const conf = readPortmapConf(call)
  if (!conf.prevResult) throw new CniError(ErrorCode.invalidNetworkConfig, 'Required prevResult missing')
  if (conf.mappings.length > 0) await forBackend(conf.backend).check(conf)
}

export const del = async (call: Call): Promise<void> => {
  const conf = readConf(call)
  const owner = ownerOf(conf)
  const mapped = [...conf.mappings, ...(owner ? portsOf(owner) : [])]
  await runAll([
    // Whatever this call's configuration says: ADD may have had another, of another version.
    () => forEveryBackend(backend => backend.unforward(conf.network, conf.containerID)),
    () => {
      const ports = mapped.filter(({ protocol }) => protocol === 'udp').map(({ hostPort }) => hostPort)
      for (const family of [4, 6] as const) {
        const pod = conf.addresses.find(({ addr }) => addr.family === family)?.addr
        forgetFlowsToPod(family, pod, ports)
      }
    },
    () => releasePorts(conf),
  ])
}

export const gc = async (call: Call): Promise<void> => {
  const { network } = readConf(call)
  const valid = validAttachments(call.conf)
  const staleOwners = listOwners().filter(
    owner =>
      owner.network === network &&
      !valid.some(({ containerID, ifName }) => containerID === owner.containerID && ifName === owner.ifName),
  )
  const alive = new Set(valid.map(({ containerID }) => containerID))
  const stale = new Set(staleOwners.map(({ containerID }) => containerID).filter(id => !alive.has(id)))
  await runAll([
    () =>
      forEveryBackend(async backend => {
        for (const containerID of await backend.containers(network))
          if (!alive.has(containerID)) stale.add(containerID)
      }),
    () =>
      forEveryBackend(async backend => {
        for (const containerID of stale) await backend.unforward(network, containerID)
      }),
    ...staleOwners.map(owner => () => releasePorts(owner)),
  ])
}

/** Can ports be opened now? Throws code 50 with the reason if not. */
export const status = async (call: Call): Promise<void> => {
  const conf = readConf(call)
  try {
    await forBackend(conf.backend).probe()
  } catch (error) {
    const cause = CniError.from(error)
    throw new CniError(ErrorCode.pluginNotAvailable, `portmap: the backend ${conf.backend} can not be used`, {
      details: [cause.message, cause.details].filter(Boolean).join('; '),
    })
  }
}
