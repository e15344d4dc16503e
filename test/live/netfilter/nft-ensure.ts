/** Chains that may be there already: only what is not there as wanted is a change, for a change must be waited for. */
import t from 'tap'
import { chainGet } from '../../../src/netfilter/nft/read'
import { ensureChain, NftTransaction } from '../../../src/netfilter/nft/transaction'
import type { NftChain } from '../../../src/netfilter/nft/wire/table'
import { netfilterHost, skip } from '../../fixtures/netfilter-host'

const table = { family: 'inet', name: 't' } as const

const base = { name: 'base', type: 'filter', hook: 'forward', priority: -5 } as const

t.test('a chain is added once', { skip }, async t => {
  const { nl } = await netfilterHost(t)
  new NftTransaction().addTable(table).commit(nl)
  const changes = (chain: NftChain): number => {
    const tx = new NftTransaction()
    ensureChain(nl, tx, table, chain)
    tx.commit(nl)
    return tx.size
  }
  for (const chain of [{ name: 'regular', comment: 'words' }, base]) {
    t.equal(changes(chain), 1, `${chain.name}, new`)
    t.equal(changes(chain), 0, `${chain.name}, there`)
  }
  t.equal(changes({ ...base, policy: 'accept' }), 0, 'the policy a chain has unless told')
  t.equal(changes({ ...base, policy: 'drop' }), 1, 'another policy')
  t.match(chainGet(nl, table, base.name), { policy: 'drop' })
  t.equal(changes(base), 0, 'any policy')
})

t.test('a chain of the name but of another kind is refused by the kernel', { skip }, async t => {
  const { nl } = await netfilterHost(t)
  new NftTransaction().addTable(table).addChain(table, base).addChain(table, { name: 'regular' }).commit(nl)
  const refusal = (chain: NftChain): void => {
    const tx = new NftTransaction()
    ensureChain(nl, tx, table, chain)
    t.throws(() => tx.commit(nl), { message: `add chain "${chain.name}" to table "inet t": E` })
  }
  refusal({ ...base, priority: 5 })
  refusal({ ...base, hook: 'input' })
  refusal({ ...base, type: 'nat', hook: 'input' })
  refusal({ ...base, name: 'regular' })
})
