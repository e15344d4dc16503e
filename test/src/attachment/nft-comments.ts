import t from 'tap'
import {
  elementComment,
  isElementOn,
  masqueradeComment,
  parseElementComment,
  parseMasqueradeComment,
  portComment,
  spoofCheckComment,
  spoofCheckRef,
} from '../../../src/attachment/nft-comments'

const id = { network: 'net', containerID: 'c1', ifName: 'eth0' }

t.test('the comments are the reference’s, and never change', async t => {
  t.equal(masqueradeComment(id), 'a4861f4ae9f7d238-f4d01f2ef4b92245, net: net, if: eth0, id: c1')
  t.equal(portComment('c1'), 'c1')
  t.equal(spoofCheckComment(spoofCheckRef(id)), 'macspoofchk-c1-eth0')
  t.equal(elementComment(id), 'net c1 eth0')
})

t.test('a comment has 128 bytes at most, whatever it names', async t => {
  const long = { network: 'n'.repeat(200), containerID: 'c'.repeat(300), ifName: 'äöüäöüä' }
  for (const comment of [
    masqueradeComment(long),
    portComment(long.containerID),
    spoofCheckComment(spoofCheckRef(long)),
    elementComment(long),
  ]) {
    t.ok(Buffer.byteLength(comment) <= 128, comment)
    t.notMatch(comment, '\ufffd')
  }
  t.not(portComment('c'.repeat(300)), portComment('c'.repeat(301)))
  t.not(elementComment(long), elementComment({ ...long, ifName: 'eth1' }))
})

t.test('parseMasqueradeComment() believes a comment whose hashes fit', async t => {
  t.same(parseMasqueradeComment(masqueradeComment(id)), id)
  t.equal(parseMasqueradeComment(masqueradeComment(id).replace('net: net', 'net: other')), undefined)
  t.equal(parseMasqueradeComment(masqueradeComment({ ...id, containerID: 'c'.repeat(100) })), undefined)
  t.equal(parseMasqueradeComment('of another program'), undefined)
})

t.test('parseElementComment() reads what elementComment() wrote whole', async t => {
  t.same(parseElementComment(elementComment(id)), id)
  t.equal(parseElementComment(elementComment({ ...id, containerID: 'c'.repeat(128) })), undefined)
  t.equal(parseElementComment('net c1'), undefined)
})

t.test('isElementOn() compares the whole name of a network', async t => {
  const long = { ...id, network: 'pods', containerID: 'c'.repeat(128) }
  t.ok(isElementOn(elementComment(id), 'net'))
  t.notOk(isElementOn(elementComment(id), 'net2'))
  t.ok(isElementOn(elementComment(long), 'pods'))
  t.notOk(isElementOn(elementComment(long), 'pods-too'))
  t.notOk(isElementOn(elementComment(long), 'po'))
})
