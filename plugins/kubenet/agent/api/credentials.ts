/** Where the API server is and how to be let in: by a kubeconfig, or by what Kubernetes gives every pod. */
import type { RequestOptions } from 'node:https'
import { KubeConfig } from '../libraries'

/** What a request needs: the server, and the options that carry certificates, token and proxy. */
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

const load = ({ kubeconfig, env }: CredentialSource): KubeConfig => {
  const config = new KubeConfig()
  const path = kubeconfig || env.KUBECONFIG
  if (path) config.loadFromFile(path)
  else config.loadFromCluster()
  return config
}

/**
 * Reads the credentials anew. Every connection does: tokens and certificates are exchanged while the agent runs, and
 * a client that remembers a token by the time of day keeps an old one when the clock is set back.
 */
export const readAccess = async (source: CredentialSource): Promise<Access> => {
  const config = load(source)
  const cluster = config.getCurrentCluster()
  if (!cluster) throw new Error(`${describeSource(source)} names no current cluster`)
  const options: RequestOptions = {}
  await config.applyToHTTPSOptions(options)
  const { headers = {} } = options
  // A token's file may end with a line's end, which a header can't.
  const trimmed = Object.entries(headers).map(([key, value]) => [key, String(value).trim()])
  return { server: new URL(cluster.server), options: { ...options, headers: Object.fromEntries(trimmed) } }
}
