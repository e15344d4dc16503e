/**
 * Many containers come and go at once, some of them by the Go plugins on the same network, or added by one and deleted
 * by the other. No address is given twice, and in the end nothing is left. 100 rounds of an ADD and a DEL; in the long
 * form 5,000.
 */
import { existsSync } from 'node:fs'
import t from 'tap'
import { binDir, peerDir } from '../fixtures/cni'
import { endsAt, extent, isTimeUp, tellSoak } from '../fixtures/extent'
import { stateFunctions } from '../fixtures/host-state'
import { PrivateHost } from '../fixtures/private-host'

const namespaces = 50
const atOnce = 16
const rounds = Number(process.env.KUBENET_CHURN ?? extent(100, 5000))

const ipam = { type: 'host-local', ranges: [[{ subnet: '10.1.2.0/24' }], [{ subnet: 'fd00:2::/64' }]] }

const confs = {
  bridge: {
    ...{ cniVersion: '1.0.0', name: 'net', type: 'bridge', bridge: 'br0', mtu: 1500 },
    ...{ isDefaultGateway: true, ipMasq: true, ipam },
  },
  portmap: {
    ...{ cniVersion: '1.0.0', name: 'net', type: 'portmap', backend: 'iptables' },
    runtimeConfig: { portMappings: [{ hostPort: 'PORT', containerPort: 80, protocol: 'tcp' }] },
    prevResult: 'RESULT',
  },
  bandwidth: {
    ...{ cniVersion: '1.0.0', name: 'net', type: 'bandwidth', ingressRate: 8e6, ingressBurst: 8e4 },
    ...{ egressRate: 8e6, egressBurst: 8e4, prevResult: 'RESULT' },
  },
  kubenet: {
    ...{ cniVersion: '1.0.0', name: 'pods', type: 'kubenet', bridge: 'br1', podCIDRs: ['10.1.3.0/24'] },
    runtimeConfig: {
      portMappings: [{ hostPort: 'PORT', containerPort: 53, protocol: 'udp' }],
      bandwidth: { ingressRate: 8e6, ingressBurst: 8e4 },
    },
  },
}

/** For each container in turn: by whom it is added, by whom it is deleted, and with which plugins. */
const kinds = [
  ['ours', 'ours', 'bridge'],
  ['ours', 'theirs', 'bridge'],
  ['theirs', 'ours', 'bridge'],
  ['ours', 'ours', 'kubenet'],
  ['ours', 'ours', 'bridge bandwidth portmap'],
] as const

/**
 * `round N` is one container's life. A call that says "try again later" is made again after a DEL, as runtimes do, and
 * so is any of the Go plugins that fails, as they do where iptables' generations collide.
 */
const script = (folders: { ours: string; theirs: string }) => `
  ${stateFunctions}
  cd /run/churn
  export PATH=/usr/sbin:/usr/bin:/sbin:/bin CNI_IFNAME=eth0
  ours=${folders.ours} theirs=${folders.theirs}
  kinds=(${kinds.map(kind => `'${kind.join(' ')}'`).join(' ')})
  call() { # call VERB WHOSE PLUGIN
    conf=\${confs[$3]//\\"PORT\\"/$port}
    CNI_COMMAND=$1 CNI_PATH=\${!2} \${!2}/$3 <<< "\${conf//\\"RESULT\\"/$result}" > out.$id 2> err.$id
  }
  patiently() {
    local tries=0
    until call $1 $2 $3; do
      read -rd '' said < out.$id
      [[ $2 = theirs || $said =~ \\"code\\":\\ *11[,}\\ ] ]] && (( ++tries < 20 )) ||
        { echo "$1 of $id by $2/$3: $said" >> failures; return 1; }
      [ $1 = DEL ] || call DEL $2 $3
    done
    [ $1 = DEL ] || read -rd '' result < out.$id || true
  }
  round() { # round NUMBER NAMESPACE
    read -r adds deletes plugins <<< "\${kinds[$1 % \${#kinds[@]}]}"
    id=c$1 port=$((10000 + $1)) result=null
    export CNI_CONTAINERID=$id CNI_NETNS=/run/netns/p$2
    local reversed=
    for plugin in $plugins; do
      patiently ADD $adds $plugin || break
      reversed="$plugin $reversed"
    done
    [[ $result =~ \\"address\\":\\ *\\"([0-9.]+)/ ]] && ip=\${BASH_REMATCH[1]} || echo "$id: no address" >> failures
    (set -C; > held/$ip) 2> /dev/null || echo "$id: $ip is another's too" >> failures
    rm -f held/$ip
    for plugin in $reversed; do patiently DEL $deletes $plugin; done
    rm -f out.$id err.$id
  }
  declare -A confs=(${Object.entries(confs)
    .map(([name, conf]) => `[${name}]='${JSON.stringify(conf)}'`)
    .join(' ')})
`

/** Each worker has namespaces of its own, which its containers get in turn. */
const churn = `
  for worker in {1..${atOnce}}; do
    (
      for (( n = worker; n <= ${rounds} && EPOCHSECONDS < ${Math.ceil(endsAt / 1000)}; n += ${atOnce} )); do
        space=$(( worker + ${atOnce} * (n / ${atOnce} % ${Math.floor(namespaces / atOnce)}) ))
        round $n $space
        echo >> rounds
      done
    ) &
  done
  wait
`

const skip = existsSync(`${peerDir}/bridge`) ? false : `${peerDir}/bridge is not installed`

t.test(`${rounds} rounds over ${namespaces} namespaces, ${atOnce} at once`, { skip }, async t => {
  const host = await PrivateHost.create(t)
  const functions = script({ ours: binDir('standalone'), theirs: peerDir })
  const run = (text: string) =>
    host.exec(['bash', '--norc', '-c', `${functions}\n${text}`], { timeoutMs: extent(300_000, 20_000_000) })
  await host.sh(`
    mkdir -p /run/churn/held /run/kubenet-cni
    seq ${namespaces} | sed 's/.*/netns add p&/' | ip -b -
    for n in $(seq ${namespaces}); do ip -n p$n link set lo up; done
  `)
  // What the first container leaves for good is there before: bridges, tables, chains that all share.
  await run(`for n in 0 1 2 3 4; do round $n ${namespaces}; done; state p1 > before; : > failures`)
  const started = Date.now()
  await run(`${churn} state p1 > after`)
  t.equal(await host.sh('cat /run/churn/failures'), '', 'every call works, no address is given twice')
  t.equal(await host.sh('cd /run/churn; diff before after || true'), '', 'nothing is left')
  const tried = Number(await host.sh('wc -l < /run/churn/rounds'))
  if (!isTimeUp()) t.equal(tried, rounds)
  tellSoak(`${tried} of ${rounds} rounds in ${Math.round((Date.now() - started) / 1000)} s`)
})
