/** Whether the cluster's agent is at work on this node, and the routes it keeps. */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { agentName, agents, textAt } from '../frame/agent-process'
import { type Check, fault, orOk } from './diagnosis'

/** The end of a certificate: RFC 5280, section 4.1, in the encoding of X.690. */

const SEQUENCE = 0x30
const UTC_TIME = 0x17

type Value = { readonly tag: number; readonly body: Buffer; readonly end: number }

/** The value at a place: its tag, its length in one byte or in several, its body. Undefined where it is cut off. */
const valueAt = (der: Buffer, at: number): Value | undefined => {
  const [tag, first] = der.subarray(at, at + 2)
  if (tag === undefined || first === undefined) return undefined
  const more = first < 0x80 ? 0 : first & 0x7f
  const start = at + 2 + more
  if (more > 4 || start > der.length) return undefined
  const length = more === 0 ? first : der.readUIntBE(at + 2, more)
  return start + length > der.length
    ? undefined
    : { tag, body: der.subarray(start, start + length), end: start + length }
}

const valuesIn = (body: Buffer | undefined): Value[] => {
  const values: Value[] = []
  for (let at = 0; body && at < body.length; ) {
    const value = valueAt(body, at)
    if (!value) return []
    values.push(value)
    at = value.end
  }
  return values
}

/** "250131120000Z", with four digits of the year in the other form: milliseconds since the epoch. */
const timeOf = ({ tag, body }: Value): number => {
  const text = body.toString('latin1')
  const century = Number(text.slice(0, 2)) < 50 ? '20' : '19'
  const whole = tag === UTC_TIME ? `${century}${text}` : text
  return Date.parse(whole.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
}

/** When the first certificate of a PEM file ends, in milliseconds since the epoch; undefined if it has none. */
const endOfCertificate = (pem: string): number | undefined => {
  const [, base64] = /-----BEGIN CERTIFICATE-----([^-]*)-----END/.exec(pem) ?? []
  if (base64 === undefined) return undefined
  const [certificate] = valuesIn(Buffer.from(base64, 'base64'))
  const [signed] = valuesIn(certificate?.body)
  // Version and serial number, the algorithm, the issuer, then the validity; the only sequence of two times.
  const validity = valuesIn(signed?.body)
    .filter(({ tag }) => tag === SEQUENCE)
    .map(({ body }) => valuesIn(body))
    .find(([from, to]) =>
      [from, to].every(time => time && (time.tag === UTC_TIME || time.tag === UTC_TIME + 1)),
    )
  const time = validity?.[1] && timeOf(validity[1])
  return Number.isNaN(time) ? undefined : time
}

/** How kubenet-agent marks its routes: `ip route show proto 107`. */
const agentProtocol = 107

/** The kubeconfig of an agent, as its own mount namespace has it; undefined where it has a service account. */
const kubeconfigOf = (pid: string): string | undefined => {
  const words = textAt(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8')).split('\0')
  const at = words.indexOf('--kubeconfig')
  const joined = words.find(word => word.startsWith('--kubeconfig='))?.replace('--kubeconfig=', '')
  const variable = /(?:^|\0)KUBECONFIG=([^\0]*)/.exec(
    textAt(() => readFileSync(`/proc/${pid}/environ`, 'utf8')),
  )
  return (at >= 0 ? words[at + 1] : joined) || variable?.[1] || undefined
}

/** The client certificate that a kubeconfig has in it, or names; "" if neither. */
const certificateOf = (pid: string, kubeconfig: string): { readonly path: string; readonly pem: string } => {
  const root = `/proc/${pid}/root`
  const text = textAt(() => readFileSync(`${root}${kubeconfig}`, 'utf8'))
  const [, data] = /^\s*client-certificate-data:\s*"?([\w+/=]+)/m.exec(text) ?? []
  if (data) return { path: kubeconfig, pem: Buffer.from(data, 'base64').toString() }
  const [, named] = /^\s*client-certificate:\s*"?([^\s"]+)/m.exec(text) ?? []
  if (!named) return { path: kubeconfig, pem: '' }
  const path = resolve(dirname(kubeconfig), named)
  return { path, pem: textAt(() => readFileSync(`${root}${path}`, 'utf8')) }
}

/** An agent goes on with the network that it wrote, and hears of nothing new. */
const certificates: Check = ({ survey: { readings } }) =>
  agents().flatMap(pid => {
    const kubeconfig = kubeconfigOf(pid)
    if (kubeconfig === undefined) return []
    const { path, pem } = certificateOf(pid, kubeconfig)
    const end = endOfCertificate(pem)
    if (end === undefined || end > readings.host.now) return []
    const says = `the certificate ${path} of ${agentName} ended ${new Date(end).toISOString()}: the API server refuses it`
    const remedy =
      'restart kubelet, which renews its own ("rotateCertificates": true); for another user: a new kubeconfig'
    return [fault('KN0072', { says, remedy })]
  })

/**
 * The agent's routes to other nodes. Where pods have both families every node has a route of each to every other; a node
 * with an InternalIP of one family alone gets none of the other.
 */
const nodeRoutes: Check = ({ survey: { readings } }) => {
  const own = readings.routes.filter(({ protocol }) => protocol === agentProtocol)
  if (own.length === 0) return []
  const counted = ([4, 6] as const).map(family => ({
    family,
    routes: own.filter(({ dst }) => dst.addr.family === family).length,
    isUsed: readings.networks.some(({ kubenet }) =>
      kubenet?.podCIDRs.some(({ addr }) => addr.family === family),
    ),
  }))
  const most = Math.max(...counted.map(({ routes }) => routes))
  const few = counted.filter(({ routes, isUsed }) => isUsed && routes < most)
  return orOk(
    few.map(({ family, routes }) =>
      fault('KN0030', {
        says: `${routes} routes of IPv${family} to other nodes' pods, and ${most} of the other family: pods of some nodes are not reached by IPv${family}`,
        remedy: `give every node an InternalIP of IPv${family} (kubelet's --node-ip takes one of each family); the agent's log names the nodes`,
      }),
    ),
    'node routes',
    `${most} nodes' pods have a route in every family`,
  )
}

export const agentChecks: readonly Check[] = [nodeRoutes, certificates]
