/** The names and the order of what is in kubenet's table; test/live/kubenet/ruleset.ts has it as nft lists it. */
import t from 'tap'
import {
  exemptSet,
  fixedChains,
  hostipsMap,
  hostportsMap,
  networkChains,
  networkRules,
  podsSet,
} from '../../../../../src/netfilter/rules/pods/nft-rules'

t.test('sets and maps have one name per family, those of networks the network’s too', async t => {
  t.same(podsSet('pods', 4), { name: 'pods4-pods', key: ['ipv4_addr'] })
  t.same(podsSet('pods', 6), { name: 'pods6-pods', key: ['ipv6_addr'] })
  t.same(exemptSet('pods', 4), { name: 'exempt4-pods', key: ['ipv4_addr'], interval: true })
  t.same(hostportsMap(4), {
    name: 'hostports4',
    key: ['inet_proto', 'inet_service'],
    data: ['ipv4_addr', 'inet_service'],
  })
  t.same(hostipsMap(6), {
    name: 'hostips6',
    key: ['ipv6_addr', 'inet_proto', 'inet_service'],
    data: ['ipv6_addr', 'inet_service'],
  })
})

t.test('a network with a long name has its hash in the sets’ names, which end at 255 bytes', async t => {
  const long = (end: string) => `${'n'.repeat(230)}${end}`
  const names = ['a', 'b'].map(end => exemptSet(long(end), 4).name)
  t.equal(new Set(names).size, 2)
  for (const name of names) t.match(name, /^exempt4-sha512-[0-9a-f]{64}$/)
})

t.test('a chain comes before the rules that jump to it', async t => {
  const made = [...networkChains, ...fixedChains().map(({ chain }) => chain)].map(({ name }) => name)
  t.same(made, ['from_pods', 'to_outside', 'hostports', 'prerouting', 'output', 'postrouting', 'martians'])
})

t.test('the fixed chains have as many rules as on every node, none of a network', async t => {
  const counts = fixedChains().map(({ chain, rules }) => [chain.name, rules.length])
  t.same(Object.fromEntries(counts), { hostports: 4, prerouting: 2, output: 2, postrouting: 4, martians: 1 })
  t.same(
    fixedChains()
      .flatMap(({ rules }) => rules.map(({ comment }) => comment))
      .filter(Boolean),
    [],
  )
})

t.test('base chains are at the hooks and priorities they always had', async t => {
  const bases = fixedChains().flatMap(({ chain }) =>
    'hook' in chain ? [[chain.name, chain.type, chain.hook, chain.priority]] : [],
  )
  t.same(bases, [
    ['prerouting', 'nat', 'prerouting', -100],
    ['output', 'nat', 'output', -100],
    ['postrouting', 'nat', 'postrouting', 100],
    ['martians', 'filter', 'prerouting', -300],
  ])
})

t.test('a network has one rule for its bridge and one per family, with its comment', async t => {
  const rules = networkRules('pods', { network: 'pods', bridge: 'cbr0' })
  t.same(
    rules.map(({ chain, rule }) => [chain, rule.comment]),
    [
      ['from_pods', 'pods'],
      ['to_outside', 'pods'],
      ['to_outside', 'pods'],
    ],
  )
})
