import { createHash } from 'node:crypto'
import t from 'tap'
import { platform } from '#platform'

t.test('sha512Hex', async t => {
  // FIPS 180-4's own examples.
  t.equal(
    platform.sha512Hex('abc'),
    'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a' +
      '2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
  )
  t.match(platform.sha512Hex(''), /^cf83e1357eefb8bdf1542850d66d8007/)
  const other = (text: string) => createHash('sha512').update(text).digest('hex')
  // Around the ends of a block of 128 bytes, and of the 112 that leave room for the length.
  for (let length = 0; length < 400; length++) {
    const text = 'é'.repeat(length >> 1) + 'x'.repeat(length & 1)
    if (platform.sha512Hex(text) !== other(text)) t.fail(`of ${length} bytes`)
  }
  const long = 'a lease '.repeat(10_000)
  t.equal(platform.sha512Hex(long), other(long))
})
