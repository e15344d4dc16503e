import { runAll } from '../../src/cni/error'
import { formatAddr } from '../../src/ip/addr'
import { type Backend, backends } from '../../src/netfilter/backend'
import type { Going, HostPortRules } from '../../src/netfilter/rules/hostports/hostports'
import { hostPortRules as byIptables } from '../../src/netfilter/rules/hostports/iptables'
import { hostPortRules as byNftables } from '../../src/netfilter/rules/hostports/nft'
import type { PortmapConf } from './config'
import type { PortOwner } from './records'
import { subjectOf, Whose } from './whose'

/** The rules of host ports, with either backend. */
export const hostPortRules: Readonly<Record<Backend, HostPortRules>> = {
  iptables: byIptables,
  nftables: byNftables,
}

/** Does the same with each backend, also when one of them fails: rules may be of an earlier configuration. */
export const withEveryBackend = (work: (rules: HostPortRules) => Promise<void>): Promise<void> =>
  runAll(backends.map(name => () => work(hostPortRules[name])))

/** The attachment of a record, as one whose rules go. */
export const goingOf = (owner: PortOwner): Going => ({
  id: owner,
  whose: () => new Whose(subjectOf(owner, owner)),
  rules: owner.rules,
})

/** Tells whose the rules are of the container that a call is about; its attachment has that record, if any. */
export const whoseOf = (conf: PortmapConf, record: PortOwner | undefined) => (): Whose =>
  new Whose(
    subjectOf(
      conf,
      record,
      conf.addresses.map(({ addr }) => formatAddr(addr)),
    ),
  )
