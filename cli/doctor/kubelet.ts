/**
 * What kubelet's own kubenet (Kubernetes up to 1.23) left: rules for host ports and masquerading in iptables, a chain in
 * ebtables, and an htb on its bridge. They lead to addresses that are other pods' by now. None is removed while a
 * program that makes them runs, or a pod that may have been connected by it.
 */
import { readdirSync, readFileSync } from 'node:fs'
import type { Repair } from '../../node/survey/finding'
import type { Iptables } from '../../node/survey/iptables'
import type { HostLink } from '../../node/survey/links'
import type { Survey } from '../../node/survey/survey'
import { parseAlias } from '../../src/attachment/interfaces'
import { exec, findProgram } from '../../src/host/exec'
import { chainOf, commentOf, iptablesRestore, targetOf } from '../../src/netfilter/iptables'
import { NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import { qdiscDel, qdiscList, readHtbDefault, TC_H_ROOT, type TcObject, tcHandle } from '../../src/netlink/tc'
import { type Check, type Diagnosis, fault, ok } from './diagnosis'

type KubeletRepair = Extract<Repair, { readonly do: 'remove-kubelet' }>

const textOf = (file: string): string => {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return '' // it has ended meanwhile, or there is no such file
  }
}

/** A process that makes such things: kubelet or cri-dockerd with kubenet; CRI-O has the chains of host ports too. */
const makerOf = (): string | undefined => {
  for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
    const name = textOf(`/proc/${pid}/comm`).trim()
    const runsKubenet = () => /--network-plugin[=\0]kubenet\0/.test(textOf(`/proc/${pid}/cmdline`))
    if (name === 'crio' || (['kubelet', 'cri-dockerd'].includes(name) && runsKubenet()))
      return `${name} runs, process ${pid}`
  }
  return findProgram('crio') && 'CRI-O is installed'
}

/** kubelet gave its veths no alias; neither did the reference plugins. */
const isNotOurs = ({ kind, alias }: HostLink): boolean => kind === 'veth' && !parseAlias(alias)

const bridgeOf = ({ readings }: Survey): HostLink | undefined =>
  readings.links.find(({ name, kind }) => name === 'cbr0' && kind === 'bridge')

/** Why a pod of it may live; undefined if none does: it connected all of them to this bridge. */
const podOf = (survey: Survey): string | undefined => {
  const bridge = bridgeOf(survey)
  const veth = survey.readings.links.find(link => isNotOurs(link) && link.master === bridge?.index)
  return veth && `"${veth.name}" may be the interface of a pod`
}

const isChain = (name: string): boolean => /^KUBE-(HOSTPORTS$|HP-)/.test(name)

const comments = ['SNAT for localhost access to hostports', 'kubenet: SNAT for outbound traffic from cluster']

/** The lines for iptables-restore that remove what is in the table nat, jumps first. */
const natScript = ({ tables }: Iptables): string[] => {
  const nat = tables.get('nat')
  if (!nat) return []
  const chains = [...nat.policies.keys()].filter(isChain)
  const others = nat.rules.filter(
    rule => !isChain(chainOf(rule)) && (isChain(targetOf(rule)) || comments.includes(commentOf(rule))),
  )
  return [
    ...others.map(rule => rule.replace(/^-A /, '-D ')),
    ...chains.map(name => `-F ${name}`),
    ...chains.map(name => `-X ${name}`),
  ]
}

/** Why a host port may still lead to a live container: no rule is for an address that one has. */
const receiverOf = ({ attachments }: Survey, { tables }: Iptables): string | undefined => {
  const rules = (tables.get('nat')?.rules ?? []).filter(rule => isChain(chainOf(rule)))
  const holder = attachments
    .filter(({ state }) => state !== 'gone')
    .flatMap(({ addresses }) => addresses)
    .find(address =>
      rules.some(
        rule =>
          rule.includes(` --to-destination ${address}:`) || rule.includes(` --to-destination [${address}]:`),
      ),
    )
  return holder && `it has rules for ${holder}, which a container has`
}

/** What is there, and why it is kept; with a repair where nothing needs it. */
type Remains = {
  readonly code: 'KN0090' | 'KN0091' | 'KN0092'
  readonly object: string
  readonly kept: string | undefined
  /** Undefined where it may be another's. */
  readonly repair: KubeletRepair | undefined
  /** What an operator can do who knows better. */
  readonly byHand?: string
}

const natRemains = (survey: Survey): Remains[] =>
  (survey.readings.iptables ?? [])
    .filter(found => natScript(found).length > 0)
    .map(found => {
      const { family, variant } = found
      return {
        code: 'KN0090',
        object: `rules of kubelet's kubenet (KUBE-HOSTPORTS, masquerading) in ip${family === 6 ? '6' : ''}tables`,
        kept: makerOf() ?? podOf(survey) ?? receiverOf(survey, found),
        repair: {
          do: 'remove-kubelet',
          part: 'nat',
          family,
          variant: variant === 'legacy' ? 'legacy' : 'nft',
        },
      }
    })

/** The ebtables that sees rules, of the variant that has a table: looking makes none. */
const ebtablesOf = ({ readings }: Survey): string | undefined => {
  if (readings.ruleset?.tables.includes('bridge filter'))
    return findProgram('ebtables-nft') ?? findProgram('ebtables')
  return /^ebtable_filter /m.test(textOf('/proc/modules')) ? findProgram('ebtables-legacy') : undefined
}

/** The chain as ebtables prints the table; undefined if it is not there. */
const dedupIn = async (program: string | undefined): Promise<string | undefined> => {
  if (!program) return undefined
  const text = await exec([program, '-t', 'filter', '-L']).catch(() => '')
  return text.includes('Bridge chain: KUBE-DEDUP,') ? text : undefined
}

const dedupRemains = async (survey: Survey): Promise<Remains[]> =>
  (await dedupIn(ebtablesOf(survey)))
    ? [
        {
          code: 'KN0091',
          object: "chain KUBE-DEDUP of kubelet's kubenet in ebtables",
          kept: makerOf() ?? podOf(survey),
          repair: { do: 'remove-kubelet', part: 'dedup' },
        },
      ]
    : []

const htbOf = (bridge: HostLink): TcObject | undefined =>
  withNetlink(NETLINK_ROUTE, qdiscList).find(
    ({ index, parent, kind }) => index === bridge.index && parent === TC_H_ROOT && kind === 'htb',
  )

/** `tc qdisc add dev cbr0 root handle 1: htb default 30`: another form is an administrator's. */
const isKubelets = ({ handle, options }: TcObject): boolean =>
  handle === tcHandle(1, 0) && options !== undefined && readHtbDefault(options) === 0x30

const htbRemains = (survey: Survey): Remains[] => {
  const bridge = bridgeOf(survey)
  const htb = bridge && htbOf(bridge)
  if (!htb) return []
  if (!isKubelets(htb)) {
    const object = `an htb on "${bridge.name}", not in the form of kubelet's kubenet`
    const byHand = `if no program needs it: tc qdisc del dev ${bridge.name} root`
    return [{ code: 'KN0092', object, kept: makerOf() ?? podOf(survey), repair: undefined, byHand }]
  }
  return [
    {
      code: 'KN0092',
      object: `limits of kubelet's kubenet (htb) on "${bridge.name}"`,
      kept: makerOf() ?? podOf(survey),
      repair: { do: 'remove-kubelet', part: 'htb', index: bridge.index },
    },
  ]
}

const remainsOf = async (survey: Survey): Promise<Remains[]> => [
  ...natRemains(survey),
  ...(await dedupRemains(survey)),
  ...htbRemains(survey),
]

const lineOf = ({ code, object, kept, repair, byHand }: Remains): Diagnosis => {
  if (kept !== undefined) return ok('kubelet', `${object}: left alone, because ${kept}`)
  if (byHand !== undefined)
    return fault(code, { says: `${object}: it may be another program's`, remedy: byHand })
  return fault(code, { says: `${object}: nothing needs it any more`, remedy: 'kubenet doctor --fix', repair })
}

export const kubeletChecks: readonly Check[] = [async ({ survey }) => (await remainsOf(survey)).map(lineOf)]

const remove = async (repair: KubeletRepair, survey: Survey): Promise<void> => {
  switch (repair.part) {
    case 'nat': {
      const { family, variant } = repair
      const found = survey.readings.iptables?.find(
        entry => entry.family === family && (entry.variant === 'legacy') === (variant === 'legacy'),
      )
      if (found) await iptablesRestore(family, [{ table: 'nat', lines: natScript(found) }], variant)
      return
    }
    case 'dedup': {
      const program = ebtablesOf(survey)
      const found = await dedupIn(program)
      if (!program || !found) return
      if (found.includes('-j KUBE-DEDUP')) await exec([program, '-D', 'OUTPUT', '-j', 'KUBE-DEDUP'])
      await exec([program, '-F', 'KUBE-DEDUP'])
      await exec([program, '-X', 'KUBE-DEDUP'])
      return
    }
    case 'htb': {
      const bridge = bridgeOf(survey)
      const htb = bridge && htbOf(bridge)
      if (htb && isKubelets(htb))
        withNetlink(NETLINK_ROUTE, nl => qdiscDel(nl, bridge, { handle: htb.handle, parent: TC_H_ROOT }))
    }
  }
}

/** Removes it if `survey`, made just now, still says that nothing needs it. Says whether it did. */
export const removeKubelets = async (repair: KubeletRepair, survey: Survey): Promise<boolean> => {
  const wanted = JSON.stringify(repair)
  const isDue = (await remainsOf(survey)).some(
    ({ kept, repair }) => kept === undefined && JSON.stringify(repair) === wanted,
  )
  if (isDue) await remove(repair, survey)
  return isDue
}

/** What was removed, in words. */
export const describeRemoved = ({ part }: KubeletRepair): string =>
  ({
    nat: "removed the rules of kubelet's kubenet from iptables",
    dedup: 'removed the chain KUBE-DEDUP from ebtables',
    htb: "removed the htb of kubelet's kubenet",
  })[part]
