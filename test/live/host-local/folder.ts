/** What host-local does where the folder of its leases is full, locked, out of reach, or has something else in it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { binDir, flavours, type Json } from '../../fixtures/cni'
import { type HostLocal, hostLocalConf, hostLocalOn, leaseFolder, leasesOn } from '../../fixtures/host-local'
import { PrivateHost } from '../../fixtures/private-host'

const subnet = '10.1.2.0/24'

const confOf = hostLocalConf

const good = confOf({ ranges: [[{ subnet }]] })

/** A tmpfs of this many pages for the leases; what is on it beside folders takes one page each. */
const smallDisk = (host: PrivateHost, pages: number) =>
  host.sh(
    `umount /run/small 2>/dev/null || true; mkdir -p /run/small; mount -t tmpfs -o size=${pages * 4}k tmpfs /run/small`,
  )

/** Answers for how many pages ADD succeeded; where it did not, nothing may be left. */
const testFullDisk = async (t: Test, host: PrivateHost, hostLocal: HostLocal) => {
  const ranges = [[{ subnet }], [{ subnet: 'fd00::/64' }]]
  const conf = confOf({ dataDir: '/run/small/leases', ranges })
  const outcomes: Json[] = []
  for (const pages of [1, 2, 3, 4, 5, 6]) {
    await smallDisk(host, pages)
    await host.sh('mkdir /run/small/leases; echo x > /run/small/x')
    const { code, json } = await hostLocal('ADD', conf)
    outcomes.push(code)
    if (code === 0) continue
    t.match(json, { code: 5, msg: /^ENOSPC: no space left on device/ }, `${pages - 1} pages`)
    const left = await host.sh(
      'find /run/small/leases -type f -size +0 -o -name "10.*" -o -name "*:*" -o -name .new',
    )
    t.same(
      left.split('\n').filter(path => path && !path.includes('last_reserved')),
      [],
      `${pages - 1} pages`,
    )
    t.equal((await hostLocal('DEL', conf)).code, 0, 'DEL works on a full disk')
  }
  // Two leases and two notes of the last address; the record is advice and may be missing.
  t.same(outcomes, [1, 1, 1, 1, 0, 0])
  const { code, json } = await hostLocal('ADD', conf)
  t.match(
    [code, json.msg],
    [1, /10\.1\.2\.2 has been allocated to c1/],
    'the attachment is known all the same',
  )
  t.equal((await hostLocal('DEL', conf)).code, 0)
  await host.sh('umount /run/small; mkdir -p /run/inodes; mount -t tmpfs -o nr_inodes=4 tmpfs /run/inodes')
  const noInodes = await hostLocal('ADD', confOf({ dataDir: '/run/inodes', ranges }))
  t.match(noInodes.json, { code: 5, msg: /^ENOSPC: .*\/run\/inodes\/net\/\.new/ })
  t.equal(await host.sh('ls -A /run/inodes/net'), 'lock\n')
}

const testReadOnly = async (t: Test, host: PrivateHost, hostLocal: HostLocal) => {
  await host.sh('mkdir -p /run/ro && mount -t tmpfs tmpfs /run/ro && mkdir /run/ro/known')
  const [fresh, known] = ['fresh', 'known'].map(name => ({
    ...confOf({ dataDir: '/run/ro', ranges: [[{ subnet: '10.1.2.0/29' }]] }),
    name,
  }))
  await hostLocal('ADD', known)
  await host.sh('mount -o remount,ro /run/ro')
  t.match((await hostLocal('ADD', fresh)).json, {
    code: 5,
    msg: "EROFS: read-only file system, mkdir '/run/ro/fresh'",
  })
  t.same((await hostLocal('DEL', fresh)).code, 0, 'there is nothing to give back')
  for (const command of ['ADD', 'DEL', 'CHECK']) {
    const { json } = await hostLocal(command, known)
    t.match(json, { code: 5, msg: 'lock "/run/ro/known/lock": EROFS' }, command)
  }
  t.match((await hostLocal('STATUS', known)).json, {
    code: 50,
    msg: 'host-local: /run/ro cannot be used',
    details: /^lock "\/run\/ro\/known\/lock": EROFS/,
  })
  await host.sh('umount /run/ro')
}

const testNotAllowed = async (t: Test, host: PrivateHost, bin: string) => {
  await host.sh('install -d -m 755 /run/closed')
  const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
  const { stdout } = await host.exec([...asNobody, `${bin}/host-local`], {
    stdin: JSON.stringify(confOf({ dataDir: '/run/closed', subnet })),
    env: {
      PATH: '/usr/bin:/bin',
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'c1',
      CNI_NETNS: '/run/netns/none',
      CNI_IFNAME: 'eth0',
      CNI_PATH: bin,
    },
  })
  t.match(JSON.parse(stdout || '{}'), {
    code: 5,
    msg: "EACCES: permission denied, mkdir '/run/closed/net'",
  })
}

/** A stopped process has the lock: ADD gives up after five seconds and says who it is. */
const testLock = async (t: Test, host: PrivateHost, hostLocal: HostLocal) => {
  await host.sh(`mkdir -p ${leaseFolder}`)
  const [program = '', ...args] = [
    ...host.enter,
    'flock',
    `${leaseFolder}/lock`,
    'sh',
    '-c',
    'echo; exec cat',
  ]
  const holder = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  await once(holder.stdout, 'data')
  holder.kill('SIGSTOP')
  const started = Date.now()
  const [add, del, status] = await Promise.all([
    hostLocal('ADD', good),
    hostLocal('DEL', good),
    hostLocal('STATUS', good),
  ])
  const seconds = (Date.now() - started) / 1000
  t.ok(seconds >= 5 && seconds < 60, `${seconds} s`) // a busy machine starts and ends programs slowly
  const timedOut = `timed out waiting for the lock "${leaseFolder}/lock"`
  const holderText = new RegExp(`held by pid ${holder.pid} \\(flock ${leaseFolder}/lock .*; T \\(stopped\\)`)
  t.match(add.json, { code: 11, msg: timedOut, details: holderText })
  t.match(del.json, { code: 11, msg: timedOut, details: holderText })
  t.match(status.json, { code: 50, details: new RegExp(`${timedOut}; ${holderText.source}`) })
  // Killed, it gives the lock back; its child, which has the descriptor too, ends with its input.
  holder.stdin.end()
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  t.equal((await hostLocal('ADD', good)).code, 0)
  await hostLocal('DEL', good)
}

/** Files in the folder that no host-local has made, or has made whole. */
const testForeignFiles = async (t: Test, host: PrivateHost, hostLocal: HostLocal) => {
  await host.sh(`
    mkdir -p ${leaseFolder}; cd ${leaseFolder}; rm -rf ./* .new
    : > 10.1.2.2; printf '\\0\\0\\0\\0' > 10.1.2.3; printf 'c9' > 10.1.2.4; ln -s /etc/hostname 10.1.2.5
    mkdir 10.1.2.6; mkfifo 10.1.2.7; printf 'whatever' > note; printf x > .new; echo 10.1.2.9x > last_reserved_ip.0
    ln -s /etc/hostname last_reserved_ip.1; cp /etc/hostname /run/hostname`)
  const conf = confOf({ ranges: [[{ subnet: '10.1.2.0/28' }], [{ subnet: 'fd00::/64' }]] })
  const { json } = await hostLocal('ADD', conf)
  t.match(json.ips, [{ address: '10.1.2.8/28' }, { address: 'fd00::2/64' }])
  t.equal((await hostLocal('CHECK', { ...conf, prevResult: json })).code, 0)
  t.equal((await hostLocal('DEL', conf)).code, 0)
  const kept = ['10.1.2.2', '10.1.2.3', '10.1.2.4', '10.1.2.5', '10.1.2.6', '10.1.2.7', 'note']
  t.same(await leasesOn(host), kept)
  t.equal(await host.sh(`ls -A ${leaseFolder} | grep -c '^.new' || true`), '0\n', 'what a crash left is gone')
  t.equal(await host.sh('cmp /etc/hostname /run/hostname && echo same'), 'same\n', 'links were not followed')
  t.equal((await hostLocal('GC', { ...conf, 'cni.dev/valid-attachments': [] })).code, 0)
  const afterGc = await leasesOn(host)
  t.same(
    afterGc,
    ['10.1.2.5', '10.1.2.6', '10.1.2.7', 'note'],
    'torn leases and the bare one are freed, what is none stays',
  )
}

/** Folders with things in them, under every name that host-local gives a file of its own. */
const testFoldersInTheWay = async (t: Test, host: PrivateHost, hostLocal: HostLocal) => {
  const ours = '/var/lib/cni/networks/.kubenet/net'
  const folder = (path: string) => host.sh(`mkdir -p ${path}; : > ${path}/somebodys`)
  const conf = confOf({ ranges: [[{ subnet }]], cooldownSeconds: 1 })
  const blocked = async (path: string, title: string) => {
    const details = 'host-local did not make it: look inside, then move it away or remove it'
    const msg = `host-local: "${path}" is a folder, not a file`
    t.match((await hostLocal('ADD', conf, { containerID: 'c2' })).json, { code: 5, msg, details }, title)
    t.match((await hostLocal('STATUS', conf)).json, { code: 50, details: `${msg}; ${details}` }, title)
    t.same(await leasesOn(host), ['10.1.2.2'], `${title}: nothing is left`)
  }
  await host.sh('rm -rf /var/lib/cni/networks')
  await hostLocal('ADD', conf)
  await folder(`${leaseFolder}/.new`)
  await blocked(`${leaseFolder}/.new`, 'the lease while it is written')
  const valid = { 'cni.dev/valid-attachments': [{ containerID: 'c1', ifname: 'eth0' }] }
  t.equal((await hostLocal('GC', { ...conf, ...valid })).stdout, '', 'GC finishes')
  t.equal((await hostLocal('DEL', conf)).stdout, '', 'DEL finishes')
  t.same(await leasesOn(host), [])
  t.equal(await host.sh(`ls ${leaseFolder}/.new`), 'somebodys\n', 'and what is in it stays')

  await host.sh('rm -rf /var/lib/cni/networks')
  await hostLocal('ADD', conf)
  await host.sh(`rm ${leaseFolder}/last_reserved_ip.0`)
  await folder(`${leaseFolder}/last_reserved_ip.0`)
  await blocked(`${leaseFolder}/last_reserved_ip.0`, 'the last address')
  t.equal((await hostLocal('DEL', conf)).stdout, '')

  // An unusable cache prevents nothing.
  await host.sh(`rm -rf ${leaseFolder}/last_reserved_ip.0 ${ours}/[0-9a-f]*`)
  const key = 'f8a2c0f3e0b1d2c3b4a59687'
  for (const name of ['foreign', key, 'released/10.1.2.9']) await folder(`${ours}/${name}`)
  for (const command of ['STATUS', 'ADD', 'CHECK', 'DEL'])
    t.equal((await hostLocal(command, conf)).code, 0, command)
  t.equal((await hostLocal('GC', { ...conf, 'cni.dev/valid-attachments': [] })).stdout, '')
  await host.sh('rm -rf /var/lib/cni/networks/.kubenet; : > /var/lib/cni/networks/.kubenet')
  for (const command of ['STATUS', 'ADD', 'CHECK'])
    t.equal((await hostLocal(command, conf)).code, 0, `${command}, with a file where the records are kept`)
  t.equal((await hostLocal('GC', { ...conf, 'cni.dev/valid-attachments': [] })).stdout, '')
  t.same(await leasesOn(host), [])
}

for (const flavour of flavours) {
  t.test(`[${flavour}] host-local`, async t => {
    const host = await PrivateHost.create(t)
    const bin = binDir(flavour)
    const hostLocal = hostLocalOn(host, bin)
    const testing = (title: string, work: (t: Test) => Promise<void>) => t.test(title, work)
    await testing('refuses a full disk, and leaves nothing on it', t => testFullDisk(t, host, hostLocal))
    await testing('refuses a read-only folder, with code 5', t => testReadOnly(t, host, hostLocal))
    await testing('refuses a folder it may not write to, with code 5', t => testNotAllowed(t, host, bin))
    await testing('does not wait for ever for a lock', t => testLock(t, host, hostLocal))
    await testing('lets foreign files in the folder be', t => testForeignFiles(t, host, hostLocal))
    await testing('names a folder that has the name of a file of its own, and DEL and GC go on', t =>
      testFoldersInTheWay(t, host, hostLocal),
    )
  })
}
