/**
 * A runtime that never sends DEL: pods come, die with their namespaces, and a /29 is enough for all of them, while no
 * address of a living pod is given out. Two at a time race for it. 40 lost DELs; in the long form 1,000. Then the host
 * is booted again, and all addresses are free.
 */
import t from 'tap'
import { binDir, type Json } from '../fixtures/cni'
import { endsAt, extent, isTimeUp, tellSoak } from '../fixtures/extent'
import { PrivateHost } from '../fixtures/private-host'

const lost = extent(40, 1000)
const leases = '/var/lib/cni/networks/net'
const ipam: Json = { type: 'host-local', ranges: [[{ subnet: '10.1.2.0/29' }]] }
const conf: Json = { cniVersion: '1.1.0', name: 'net', type: 'bridge', ipam }

/**
 * `live N` is a pod's life; while it lives its address is in `held`, where no other program may put it. What died in the
 * last minute is not judged yet, so that its record is made older, under the lock, by a shell.
 */
const script = `
  cd /run/pods
  export PATH=/usr/sbin:/usr/bin:/sbin:/bin CNI_IFNAME=eth0 CNI_PATH=${binDir('standalone')}
  add() { # add NAME
    ip netns add $1
    # Code 11 is "try again": a process that is just starting cannot be looked at, and may be a container's.
    for try in {1..50}; do
      CNI_COMMAND=ADD CNI_CONTAINERID=$1 CNI_NETNS=/run/netns/$1 $CNI_PATH/host-local <<< '${JSON.stringify(conf)}' > out.$1 2>> warnings
      read -rd '' out < out.$1
      [[ $out == *'"code":11,'* ]] || break
      sleep 0.1
    done
    [[ $out =~ \\"address\\":\\"([0-9.]+)/ ]] || { echo "$1: $out" >> failures; return; }
    ip=\${BASH_REMATCH[1]}
    (set -C; > held/$ip) 2> /dev/null || echo "$1: $ip is another's" >> failures
    rm out.$1
  }
  age() { flock ${leases}/lock sed -i 's/"time":[0-9]*/"time":1700000000000/' /var/lib/cni/networks/.kubenet/net/[0-9a-f]*[0-9a-f]; }
  live() { add $1; age; rm -f held/$ip; ip netns del $1; }
`

t.test(`${lost} pods of which no DEL comes, in a /29`, async t => {
  const host = await PrivateHost.create(t)
  const run = (text: string) =>
    host.exec(['bash', '--norc', '-c', `${script}\n${text}`], { timeoutMs: extent(300_000, 10_000_000) })
  await host.sh('mkdir -p /run/pods/held')
  await run('for name in old1 old2; do add $name; done; age')
  t.equal(await host.sh('ls /run/pods/held'), '10.1.2.2\n10.1.2.3\n', 'two of five live on')
  await run(`
    for worker in 1 2; do
      (for (( n = worker; n <= ${lost} && EPOCHSECONDS < ${Math.ceil(endsAt / 1000)}; n += 2 )); do
        live p$n; echo >> lived
      done) &
    done
    wait
  `)
  t.equal(await host.sh('cat /run/pods/failures 2> /dev/null || true'), '', 'each gets an address of its own')
  t.equal(await host.sh('ls /run/pods/held'), '10.1.2.2\n10.1.2.3\n')
  t.equal(
    await host.sh(`cd ${leases}; grep -H old 10.1.2.[23] | tr -d '\\r'`),
    '10.1.2.2:old1\n10.1.2.3:old2\n',
    'the living have kept theirs',
  )
  t.match(
    await host.sh('cat /run/pods/warnings'),
    /freed the addresses of containers that ended without a DEL: p\d/,
  )
  const { length } = (await host.sh(`ls ${leases} | grep '^10'`)).trim().split('\n')
  t.ok(length <= 5, `${length} leases`)

  // As after a power cut: another boot, and none of the namespaces is there.
  await host.sh(`
    for name in old1 old2; do ip netns del $name; done; rm /run/pods/held/*
    sed -i 's/"bootID":"[^"]*"/"bootID":"99999999-0000-4000-8000-000000000000"/' /var/lib/cni/networks/.kubenet/net/[0-9a-f]*[0-9a-f]
  `)
  await run('for n in 1 2 3 4 5; do add new$n; done')
  t.equal(await host.sh('cat /run/pods/failures 2> /dev/null || true'), '', 'after a reboot all are free')
  t.equal((await host.sh('ls /run/pods/held')).trim().split('\n').length, 5)
  const lived = Number(await host.sh('wc -l < /run/pods/lived'))
  if (!isTimeUp()) t.equal(lived, lost)
  tellSoak(`${lived} of ${lost} lost DELs`)
})
