/** The order of addresses: those free after a reboot or a lost DEL, those in cooldown, those kept for a pod. */
import t from 'tap'
import { binDir, type CallOptions, flavours, type Json } from '../../fixtures/cni'
import { hostLocalConf, hostLocalOn, leasesOn } from '../../fixtures/host-local'
import { PrivateHost } from '../../fixtures/private-host'

const confOf = (name: string, ipam: Json) => hostLocalConf(ipam, { name })

for (const flavour of flavours) {
  t.test(`[${flavour}] host-local`, async t => {
    const host = await PrivateHost.create(t)
    const hostLocal = hostLocalOn(host, binDir(flavour))

    await t.test('after a reboot a full network gives the addresses out again', async t => {
      const tiny = confOf('reboot', { ranges: [[{ subnet: '10.1.5.0/29' }]] })
      for (let i = 0; i < 5; i++) await hostLocal('ADD', tiny, { containerID: `old${i}` })
      t.match((await hostLocal('ADD', tiny, { containerID: 'new' })).json, { code: 11 })
      const containerBoot =
        'echo 99999999-0000-4000-8000-000000000000 > /run/boot_id; ' +
        'mount --bind /run/boot_id /proc/sys/kernel/random/boot_id'
      await host.sh(containerBoot)
      t.match(
        (await hostLocal('ADD', tiny, { containerID: 'new' })).json,
        { code: 11 },
        'a boot_id bound over',
      )
      await host.sh('umount /proc/sys/kernel/random/boot_id')
      await host.sh(
        `sed -i 's/"bootID":"[^"]*"/"bootID":"before"/' /var/lib/cni/networks/.kubenet/reboot/[0-9a-f]*`,
      )
      t.equal((await hostLocal('STATUS', tiny)).stdout, '')
      const { code, json, stderr } = await hostLocal('ADD', tiny, { containerID: 'new' })
      t.same([code, json.ips], [0, [{ address: '10.1.5.2/29', gateway: '10.1.5.1' }]])
      t.match(
        stderr,
        /freed the addresses of containers that ended without a DEL: old\d, old\d, old\d and 2 more/,
      )
      t.same(await leasesOn(host, 'reboot'), ['10.1.5.2'])
    })

    await t.test('a full network takes addresses from namespaces that are gone, not from others', async t => {
      const tiny = confOf('gone', { ranges: [[{ subnet: '10.1.6.0/29' }]] })
      for (let i = 0; i < 5; i++) {
        const netns = await host.netns(`pod${i}`)
        t.equal((await hostLocal('ADD', tiny, { containerID: `pod${i}`, netns })).code, 0)
      }
      // Ended without a DEL: pod1 for good, pod2 in the view of its path only.
      await host.sh(
        'ip netns del pod1; mkdir /run/elsewhere; touch /run/elsewhere/pod2; ' +
          'mount --bind /run/netns/pod2 /run/elsewhere/pod2; ip netns del pod2',
      )
      t.match(
        (await hostLocal('ADD', tiny, { containerID: 'new' })).json,
        { code: 11 },
        'not in the first minute',
      )
      await host.sh(
        `sed -i 's/"time":[0-9]*/"time":1700000000000/' /var/lib/cni/networks/.kubenet/gone/[0-9a-f]*`,
      )
      // The kernel may have given the number of pod1's namespace to one of another test: then it looks alive for a while.
      let answer = await hostLocal('ADD', tiny, { containerID: 'new' })
      for (const deadline = Date.now() + 60_000; answer.code !== 0 && Date.now() < deadline; )
        answer = await hostLocal('ADD', tiny, { containerID: 'new' })
      t.match(answer.json, { ips: [{ address: '10.1.6.3/29', gateway: '10.1.6.1' }] })
      t.match((await hostLocal('ADD', tiny, { containerID: 'newer' })).json, { code: 11 })
    })

    await t.test('with cooldownSeconds a freed address comes last, and is still to be had', async t => {
      const cooling = confOf('cool', { ranges: [[{ subnet: '10.1.7.0/29' }]], cooldownSeconds: 600 })
      for (const containerID of ['a', 'b', 'c', 'd']) await hostLocal('ADD', cooling, { containerID })
      await hostLocal('DEL', cooling, { containerID: 'a' })
      await hostLocal('ADD', cooling, { containerID: 'e' }) // .6
      await hostLocal('DEL', cooling, { containerID: 'c' })
      t.match((await hostLocal('ADD', cooling, { containerID: 'f' })).json.ips, [{ address: '10.1.7.2/29' }])
      t.match((await hostLocal('ADD', cooling, { containerID: 'g' })).json.ips, [{ address: '10.1.7.4/29' }])
    })

    await t.test('with sticky a pod of the same name has its address again, after a reboot too', async t => {
      const sticky = confOf('sticky', {
        ranges: [[{ subnet: '10.1.8.0/24' }], [{ subnet: 'fd08::/64' }]],
        sticky: 'pod',
      })
      const of = (pod: string, containerID: string): CallOptions => ({
        containerID,
        args: `IgnoreUnknown=1;K8S_POD_NAMESPACE=web;K8S_POD_NAME=${pod}`,
      })
      const addressesOf = async (pod: string, containerID: string) =>
        (await hostLocal('ADD', sticky, of(pod, containerID))).json.ips.map(({ address }: Json) => address)
      const first = ['10.1.8.2/24', 'fd08::2/64']
      t.same(await addressesOf('db-0', 'c1'), first)
      await hostLocal('DEL', sticky, of('db-0', 'c1'))
      t.same(await addressesOf('db-1', 'c2'), ['10.1.8.3/24', 'fd08::3/64'], 'another pod is next in turn')
      t.same(await addressesOf('db-0', 'c3'), first, 'the same name, another container')
      // The leases are lost, as by a reboot with the folder on a tmpfs, the notes are not.
      await host.sh('rm /var/lib/cni/networks/sticky/*')
      t.same(await addressesOf('db-1', 'c4'), ['10.1.8.3/24', 'fd08::3/64'])
      t.same(await addressesOf('db-2', 'c5'), first, 'one that is remembered is free all the same')
      t.same(await addressesOf('db-0', 'c6'), ['10.1.8.4/24', 'fd08::4/64'], 'and then it is gone')
    })

    await t.test('staticRanges are given out on request, excluded addresses never', async t => {
      const one = confOf('static', {
        ranges: [[{ subnet: '10.1.9.0/29' }]],
        staticRanges: ['10.1.9.4-10.1.9.5'],
        exclude: ['10.1.9.2'],
      })
      const asking = (ip: string) => ({ ...one, runtimeConfig: { ips: [ip] } })
      t.match((await hostLocal('ADD', one, { containerID: 'a' })).json.ips, [{ address: '10.1.9.3/29' }])
      t.match((await hostLocal('ADD', one, { containerID: 'b' })).json.ips, [{ address: '10.1.9.6/29' }])
      t.match((await hostLocal('ADD', one, { containerID: 'c' })).json, {
        code: 11,
        details: /^2 of 2 in use/,
      })
      t.match((await hostLocal('ADD', asking('10.1.9.5'), { containerID: 'c' })).json.ips, [
        { address: '10.1.9.5/29' },
      ])
      t.match((await hostLocal('ADD', asking('10.1.9.2'), { containerID: 'd' })).json, {
        code: 7,
        msg: 'failed to allocate for range 0: requested ip 10.1.9.2 is excluded',
      })
    })
  })
}
