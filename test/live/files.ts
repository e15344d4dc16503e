/**
 * What a call leaves on the disk: files for root alone, whatever the umask; nothing where it was led to by a symbolic
 * link; no temporary file, process or zombie once it has answered.
 */
import t from 'tap'
import { binDir, type Flavour, flavours, type Json } from '../fixtures/cni'
import { PrivateHost } from '../fixtures/private-host'

const networks = '/var/lib/cni/networks'
const log = '/run/log/kubenet.log'

const pod: Json = {
  ...{ cniVersion: '1.1.0', name: 'net', type: 'kubenet', podCIDRs: ['10.1.2.0/24'] },
  runtimeConfig: {
    portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
    bandwidth: { ingressRate: 8e6, ingressBurst: 8e4 },
  },
}
const bridge: Json = {
  ...{
    cniVersion: '1.1.0',
    name: 'masq',
    type: 'bridge',
    bridge: 'br0',
    ipMasq: true,
    ipMasqBackend: 'iptables',
  },
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.3.0/24' }]] },
}
/** The same with a hole in it: fails in its middle, when the bridge and the port of the container are there. */
const failing: Json = {
  ...bridge,
  name: 'full',
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.4.0/30' }]] },
}

const functions = (flavour: Flavour) => `
  export PATH=/usr/sbin:/usr/bin:/sbin:/bin CNI_PATH=${binDir(flavour)} CNI_LOG_FILE=${log}
  export CNI_CONTAINERID=c1 CNI_NETNS=/run/netns/c1
  kubenet='${JSON.stringify(pod)}' bridge='${JSON.stringify(bridge)}' failing='${JSON.stringify(failing)}'
  call() { CNI_COMMAND=$1 CNI_IFNAME=$2 $CNI_PATH/$2 <<< "\${!3}"; }
`

const setup = `
  for folder in /tmp /var/tmp /dev/shm; do mount -t tmpfs tmpfs $folder; done
  mkdir -p ${log.slice(0, log.lastIndexOf('/'))}
  ip netns add c1
`

/** What root alone may not read and write, but others may too. */
const open = `find ${networks} /run/kubenet-cni ${log} -perm /077 -printf '%p %m\\n' | sort`

/** Every file in which a call may be led astray: leases, records, locks, notes, ports, the log. */
const files = `find ${networks} /run/kubenet-cni ${log} -type f | sort`

// What the two do with files is the same code.
for (const flavour of flavours.slice(0, 1)) {
  t.test(`[${flavour}] files`, async t => {
    const host = await PrivateHost.create(t, { processes: true })
    const bash = (script: string) => host.run('bash', '--norc', '-c', `${functions(flavour)}\n${script}`)
    await host.sh(setup)

    await t.test('are root’s alone, whatever the umask', async t => {
      await bash('umask 0; call ADD kubenet kubenet; call ADD bridge bridge')
      t.equal(
        await host.sh(open),
        [`${networks} 755`, `${networks}/masq 755`, `${networks}/net 755`, ''].join('\n'),
        'except folders of leases, which hold no secrets and are as the reference makes them',
      )
    })

    await t.test('are not written through symbolic links, also of who is quick', async t => {
      const names = (await host.sh(files)).trim().split('\n')
      t.ok(names.length >= 8, names.join(' '))
      await host.sh('echo precious > /run/victim; chmod 640 /run/victim; touch -d @1000000000 /run/victim')
      const victim = () => host.sh('cat /run/victim; stat -c "%a %Y" /run/victim')
      const before = await victim()
      const each = names.map(name => `'${name}'`).join(' ')
      const answers = await bash(`
        links() { for name in ${each} '${networks}/net/.new'; do ln -sfn /run/victim "$name"; done; }
        links
        for verb in DEL ADD DEL GC; do call $verb kubenet kubenet; call $verb bridge bridge; done
        (while sleep 0.02; do links; done) 2> /dev/null & racer=$!
        for i in 1 2; do for verb in ADD DEL; do call $verb kubenet kubenet; call $verb bridge bridge; done; done
        kill $racer; wait $racer 2> /dev/null
        find ${networks} /run/kubenet-cni -type l -delete; rm -f ${log}
        true
      `)
      t.equal(await victim(), before)
      for (const line of answers.trim().split('\n').filter(Boolean))
        t.match(JSON.parse(line), { cniVersion: '1.1.0' }, line)
    })

    await t.test(
      'are all gone again, like every process, once calls have ended, failed ones too',
      async t => {
        const left = () =>
          host.sh(`
          for file in /proc/[0-9]*/stat; do
            read -r _ name state _ < $file
            case $name in '(sh)' | '(cat)') ;; *) echo "$name $state" ;; esac
          done
          find /tmp /var/tmp /dev/shm /run /var/lib/cni -newer /run/victim ! -name lock ! -name 'last_reserved_ip.*' | sort
        `)
        const all = `
        for verb in ADD CHECK DEL GC STATUS; do
          for plugin in kubenet bridge; do call $verb $plugin $plugin; done
          CNI_CONTAINERID=c2 CNI_NETNS=/run/netns/none call $verb bridge failing
        done > /run/out 2>&1
        for name in kubenet bridge; do call DEL $name $name; done
        for name in kubenet bridge failing; do
          CNI_COMMAND=GC $CNI_PATH/\${name/failing/bridge} <<< "\${!name/%\\}/,\\"cni.dev/valid-attachments\\":[]\\}}"
        done
      `
        await bash(all)
        const before = await left()
        await bash(`${all}\n${all}`)
        t.equal(await left(), before)
      },
    )
  })
}
