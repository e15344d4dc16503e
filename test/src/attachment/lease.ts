import t from 'tap'
import { formatLease, parseLease } from '../../../src/attachment/lease'

t.test('a lease is the container’s ID, CR LF and the interface, with nothing behind', async t => {
  t.equal(formatLease({ containerID: 'c1', ifName: 'eth0' }), 'c1\r\neth0')
  t.equal(formatLease({ containerID: 'c1', ifName: undefined }), 'c1')
})

t.test('parseLease() reads what the reference reads', async t => {
  const cases: [string, { containerID: string; ifName: string | undefined }][] = [
    ['c1\r\neth0', { containerID: 'c1', ifName: 'eth0' }],
    ['c1\r\neth0\n', { containerID: 'c1', ifName: 'eth0' }],
    ['c1', { containerID: 'c1', ifName: undefined }], // an old version's
    ['c1\n', { containerID: 'c1', ifName: undefined }],
    ['c1\r\n', { containerID: 'c1', ifName: undefined }],
    ['c1\neth0', { containerID: 'c1\neth0', ifName: undefined }], // no owner, to the reference as well
    ['c1\r\neth0\r\nx', { containerID: 'c1', ifName: 'eth0\r\nx' }],
    ['set aside for the printer', { containerID: 'set aside for the printer', ifName: undefined }],
  ]
  for (const [text, owner] of cases) t.same(parseLease(text), owner, JSON.stringify(text))
})

t.test('parseLease() finds no owner in what a crash leaves', async t => {
  for (const text of ['', '\r\n', ' ', '\0\0\0\0\0\0', '\0\0\r\n\0']) {
    t.equal(parseLease(text), undefined, JSON.stringify(text))
  }
})
