/** What DEL and GC of one of a container's attachments leave of the rules and limits of another. */
import t from 'tap'
import { backends, bridgeOf, limit, tryOwnership } from '../../fixtures/ownership'

t.jobs = 2

for (const backend of backends) {
  t.test(`masquerading by ${backend}`, { buffered: true }, t =>
    tryOwnership(t, {
      chain: side => [bridgeOf(side, { ipMasq: true, ipMasqBackend: backend })],
    }),
  )
}

t.test('checks of MACs', { buffered: true }, t =>
  tryOwnership(t, { chain: side => [bridgeOf(side, { macspoofchk: true })] }),
)

t.test('limits of bandwidth', { buffered: true }, t =>
  tryOwnership(t, {
    chain: side => [bridgeOf(side), { type: 'bandwidth', conf: { runtimeConfig: { bandwidth: limit } } }],
  }),
)
