/** An attachment's parts in few words: what tables and pictures have room for. */

import type { HostPort, NodeAttachment } from '../../node/survey/attachments'
import { formatBits } from '../frame/units'

/** The ID of a container of Docker or Kubernetes has 64 hex digits, of which people know the first. */
const shownDigits = 12

/** The pod's name, else the container's ID as people know it. */
export const nameOf = ({ pod, containerID }: Pick<NodeAttachment, 'pod' | 'containerID'>): string =>
  pod ?? (/^[0-9a-f]{64}$/.test(containerID) ? containerID.slice(0, shownDigits) : containerID)

/** A host port: "8080", "192.0.2.10:8080", and where it leads to: "80/tcp". */
export const portWords = ({
  hostPort,
  hostIP,
  protocol,
  target,
}: HostPort): { from: string; to: string } => ({
  from:
    hostIP === undefined ? String(hostPort) : `${hostIP.includes(':') ? `[${hostIP}]` : hostIP}:${hostPort}`,
  to: `${target?.containerPort ?? '?'}/${protocol}`,
})

/** The ports of an attachment, the two families of one port once: "8080→80/tcp". */
export const portTexts = ({ ports }: Pick<NodeAttachment, 'ports'>): string[] => [
  ...new Set(ports.map(portWords).map(({ from, to }) => `${from}→${to}`)),
]

/** Limits into the container and out of it: "10M/20M", "-/1G"; "" without any. */
export const limitText = ({
  ingressBits,
  egressBits,
}: Pick<NodeAttachment, 'ingressBits' | 'egressBits'>): string => {
  const text = (bits: number | undefined) => (bits === undefined ? '-' : formatBits(bits))
  return ingressBits === undefined && egressBits === undefined
    ? ''
    : `${text(ingressBits)}/${text(egressBits)}`
}
