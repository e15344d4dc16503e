/** The API server's address and the credentials: from a kubeconfig, or from the service account of the pod. */
import type { RequestOptions } from 'node:https'
import { dirname, resolve } from 'node:path'
import { KubeConfig } from '@kubernetes/client-node/dist/config.js'
import { load as parseYaml } from 'js-yaml'
import { isJsonObject } from '../../src/cni/schema'
import { readPlainFile } from '../../src/host/plain-file'
import { within } from '../wait'

/** The parts of a request: the server, and the options that carry certificates, token and proxy. */
export type Access = { readonly server: URL; readonly options: RequestOptions }

export type CredentialSource = {
  /** A kubeconfig's path, as the command line has it. */
  readonly kubeconfig: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
}

/** Where the credentials come from, for the log. Throws if nothing names a cluster. */
export const describeSource = ({ kubeconfig, env }: CredentialSource): string => {
  const path = kubeconfig || env.KUBECONFIG
  if (path) return `kubeconfig ${path}`
  if (env.KUBERNETES_SERVICE_HOST && env.KUBERNETES_SERVICE_PORT)
    return `service account, ${env.KUBERNETES_SERVICE_HOST}:${env.KUBERNETES_SERVICE_PORT}`
  throw new Error(
    'no cluster: name a kubeconfig with --kubeconfig or KUBECONFIG, or run in a pod that has a service account',
  )
}

/**
 * A user of a kubeconfig as @kubernetes/client-node (1.4.0) understands it: it has another name for `tokenFile`, and
 * takes no path relative to the kubeconfig's folder. Of token and file, Kubernetes' own client takes the file.
 */
const renameTokenFile = (entry: unknown, folder: string): unknown => {
  const user = isJsonObject(entry) ? entry.user : undefined
  if (!isJsonObject(entry) || !isJsonObject(user) || typeof user.tokenFile !== 'string') return entry
  return { ...entry, user: { ...user, token: undefined, 'token-file': resolve(folder, user.tokenFile) } }
}

const readKubeconfig = (path: string): string => {
  const text = readPlainFile(path, { followLinks: true })
  if (text === undefined) throw new Error('ENOENT: there is no such file')
  return text
}

const loadFile = (path: string): KubeConfig => {
  const config = new KubeConfig()
  try {
    const content = parseYaml(readKubeconfig(path))
    if (!isJsonObject(content)) throw new Error('there is no YAML object in it')
    const users = Array.isArray(content.users) ? content.users : []
    const known = { ...content, users: users.map(entry => renameTokenFile(entry, dirname(path))) }
    config.loadFromString(JSON.stringify(known))
  } catch (cause) {
    throw new Error(`kubeconfig ${path}`, { cause })
  }
  config.makePathsAbsolute(dirname(path))
  return config
}

const load = ({ kubeconfig, env }: CredentialSource): KubeConfig => {
  const path = kubeconfig || env.KUBECONFIG
  if (path) return loadFile(path)
  const config = new KubeConfig()
  config.loadFromCluster()
  return config
}

/**
 * Reads the credentials again. Every connection does: tokens and certificates are exchanged while the agent runs, and
 * a client that remembers a token by the time of day keeps an old one when the clock is set back. A program that a
 * kubeconfig names for it has `answerMs`; rejects with `signal`'s reason when that is aborted.
 */
export const readAccess = async (
  source: CredentialSource,
  { answerMs, signal }: { answerMs: number; signal: AbortSignal },
): Promise<Access> => {
  const config = load(source)
  const cluster = config.getCurrentCluster()
  if (!cluster) throw new Error(`${describeSource(source)} names no current cluster`)
  const options: RequestOptions = {}
  await within({ ms: answerMs, signal, what: 'credentials' }, config.applyToHTTPSOptions(options))
  const { headers = {} } = options
  // A token's file may end with a line's end, which a header cannot.
  const trimmed = Object.entries(headers).map(([key, value]) => [key, String(value).trim()])
  return { server: new URL(cluster.server), options: { ...options, headers: Object.fromEntries(trimmed) } }
}
