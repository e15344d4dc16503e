/** What DEL and GC of one of a container's attachments leave of the host ports of another. */
import t from 'tap'
import { backends, bridgeOf, portsOf, tryOwnership } from '../../fixtures/ownership'

t.jobs = 2

for (const backend of backends) {
  for (const [about, own] of [
    ['ports of its own', true],
    ['the same ports', false],
  ] as const) {
    t.test(`portmap ${backend}, ${about}`, { buffered: true }, t =>
      tryOwnership(t, {
        chain: side => [
          bridgeOf(side),
          { type: 'portmap', conf: { backend, runtimeConfig: portsOf([own ? side.port : 8080]) } },
        ],
      }),
    )
  }
}
