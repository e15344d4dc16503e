/** What DEL and GC of one of a container's kubenet attachments leave of another's. */
import t from 'tap'
import { backends, limit, portsOf, tryOwnership } from '../../fixtures/ownership'

t.jobs = 2

for (const backend of backends) {
  for (const [about, own] of [
    ['ports of its own', true],
    ['the same ports', false],
  ] as const) {
    t.test(`kubenet ${backend}, ${about}`, { buffered: true }, t =>
      tryOwnership(t, {
        chain: side => [
          {
            type: 'kubenet',
            conf: {
              bridge: `br-${side.network}`,
              podCIDR: side.subnet,
              backend,
              runtimeConfig: { ...portsOf([own ? side.port : 8080]), ...(own && { bandwidth: limit }) },
            },
          },
        ],
      }),
    )
  }
}
