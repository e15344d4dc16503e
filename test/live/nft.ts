import t, { type Test } from 'tap'
import { parseAddr } from '../../src/ip/addr'
import { parseCidr } from '../../src/ip/cidr'
import { NETLINK_NETFILTER, NetlinkSocket } from '../../src/netlink/socket'
import { insideNetns, openNetns, closeNetns } from '../../src/netns/netns'
import * as m from '../../src/netfilter/nft/match'
import { rule } from '../../src/netfilter/nft/rule'
import * as x from '../../src/netfilter/nft/selector'
import * as s from '../../src/netfilter/nft/statement'
import { NftTransaction } from '../../src/netfilter/nft/transaction'
import { PrivateHost } from '../fixtures/private-host'
import * as r from '../../src/netfilter/nft/read'

t.test('smoke', async t => {
  const host = await PrivateHost.create(t)
  const ns = openNetns(`/proc/${host.enter[2]}/ns/net`)
  const nl = insideNetns(ns, () => NetlinkSocket.open(NETLINK_NETFILTER))
  const table = { family: 'inet', name: 'x' } as const
  const tx = new NftTransaction()
  const c = parseCidr('10.0.0.0/12')!
  const pods = { name: 'pods', key: ['ipv4_addr'], comment: 'é' } as const
  const ex = { name: 'ex', key: ['ipv4_addr'], interval: true } as const
  const map = { name: 'mm', key: ['inet_proto', 'inet_service'], data: ['ipv4_addr', 'inet_service'] } as const
  tx.addTable(table, { comment: 'hello' })
    .addSet(table, pods).addSet(table, ex).addSet(table, map)
    .addElement(table, pods, { key: [c.addr], comment: 'x' })
    .addElement(table, ex, { key: [c], comment: 'x' })
    .addElement(table, ex, { key: [parseCidr('224.0.0.0/3')!], comment: 'x' })
    .addElement(table, map, { key: ['tcp', 8080], data: [c.addr, 80], comment: 'x' })
    .addChain(table, { name: 'c', comment: 'cc' })
    .addChain(table, { name: 'pre', type: 'nat', hook: 'prerouting', priority: -100 })
    .addRule(table, 'c', rule([m.eq(x.ipSaddr, c), m.neq(x.ipDaddr, c.addr), m.inSet([x.ipSaddr], pods), s.masquerade()], { comment: 'me' }))
    .addRule(table, 'pre', rule([m.fibDaddrType('local'), s.dnatToMap([x.metaL4proto, x.thDport], map)]))
  tx.commit(nl)
  console.log(await host.run('nft', 'list', 'ruleset'))
  console.log(r.nftGeneration(nl), r.tableList(nl), r.chainList(nl, table), r.ruleList(nl, table), r.setList(nl, table))
  console.log(r.elementList(nl, table, pods), r.elementList(nl, table, ex), r.elementList(nl, table, map), r.elementGet(nl, table, map, ['tcp', 8080]), r.elementGet(nl, table, map, ['tcp', 8081]))
  nl.close()
})
