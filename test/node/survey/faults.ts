/** The table of what the doctor can name: codes stay what they are, since scripts and tickets go by them. */
import t from 'tap'
import { containerFaults } from '../../../node/survey/container-faults'
import { codeOf, type FaultCode, faults, kindsOf } from '../../../node/survey/faults'
import { hostFaults } from '../../../node/survey/host-faults'
import { kubeletFaults } from '../../../node/survey/kubelet-faults'

t.test('codes are KN and four digits, each of one fault', async t => {
  const codes = Object.keys(faults)
  t.ok(codes.length > 50)
  t.same(
    codes.filter(code => !/^KN\d{4}$/.test(code)),
    [],
  )
  t.equal(codes.length, [hostFaults, containerFaults, kubeletFaults].flatMap(Object.keys).length)
})

t.test('some that will never be other faults', async t => {
  const titles: [FaultCode, string, string][] = [
    ['KN0006', 'fail', 'forwarding'],
    ['KN0013', 'fail', 'forward filter'],
    ['KN0037', 'warn', 'leases'],
    ['KN0052', 'fail', 'rules'],
  ]
  for (const [code, severity, check] of titles) {
    t.same([faults[code].severity, faults[code].check], [severity, check], code)
  }
})

t.test("each kind of the survey's findings has one code", async t => {
  t.equal(codeOf('bridge-down'), 'KN0032')
  t.same(kindsOf('rates'), ['ifb-without-pod', 'limit-missing'])
  const kinds = Object.values(faults).flatMap(({ kind }) => kind ?? [])
  t.equal(new Set(kinds).size, kinds.length)
})
