import t from 'tap'
import {
  NFTNL_UDATA_COMMENT,
  putComment,
  putUserdata,
  readComment,
  readUserdata,
} from '../../../../../src/netfilter/nft/wire/message'

t.test('putUserdata() writes type, length and a NUL-terminated comment', async t => {
  // nft: add table inet t { comment "tc" ; }
  t.equal(putUserdata([[NFTNL_UDATA_COMMENT, putComment('tc')]])?.toString('hex'), '00' + '03' + '746300')
  // nft: add element … comment "é": the length is in bytes
  t.equal(putUserdata([[NFTNL_UDATA_COMMENT, putComment('é')]])?.toString('hex'), '00' + '03' + 'c3a900')
})

t.test('putUserdata() is undefined when there is nothing to note', async t => {
  t.equal(putUserdata([[0, undefined]]), undefined)
})

t.test('an empty comment is a comment', async t => {
  t.equal(putUserdata([[0, putComment('')]])?.toString('hex'), '00' + '01' + '00')
})

t.test('a comment comes back as it was written', async t => {
  for (const comment of ['', 'c0ffee', 'ä'.repeat(64), 'x'.repeat(128), '" \\ \n', '名']) {
    const notes = readUserdata(putUserdata([[0, putComment(comment)]]))
    t.equal(readComment(notes.get(0)), comment)
  }
})

t.test('putComment() refuses what nft could not show whole', async t => {
  t.throws(() => putComment('x'.repeat(129)), new RangeError('nftables comment of 129 bytes: more than 128'))
  t.throws(() => putComment('ä'.repeat(65)), new RangeError('nftables comment of 130 bytes: more than 128'))
  t.throws(() => putComment('a\0b'), new RangeError('nftables comment with a NUL'))
})

t.test('readUserdata() keeps the notes before one that is cut off', async t => {
  const notes = readUserdata(Buffer.from('0002' + '6100' + '0104' + '0100', 'hex'))
  t.equal(readComment(notes.get(0)), 'a')
  t.equal(notes.size, 1)
  t.equal(readUserdata(Buffer.from('00', 'hex')).size, 0)
  t.equal(readUserdata(undefined).size, 0)
})

t.test('readComment() takes a comment without its NUL', async t => {
  t.equal(readComment(Buffer.from('abc')), 'abc')
  t.equal(readComment(undefined), '')
})
