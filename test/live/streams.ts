/**
 * A plugin's standard streams, name and limits: a result that cannot be printed is no success, and
 * what is no configuration is an error object.
 */
import t from 'tap'
import { binDir, flavours } from '../fixtures/cni'
import { PrivateHost } from '../fixtures/private-host'

/** A shell script, what it exits with and prints, and how many addresses are leased after it; none before the next. */
type Row = {
  readonly what: string
  readonly script: string
  readonly code: number
  readonly leases: number
  readonly out: RegExp
}

const refused = { code: 1, leases: 0 }
const notJson = { ...refused, out: /"code":6,"msg":"the network configuration on stdin is not JSON"/ }
const works = { code: 0, leases: 1, out: /"address":"10\.1\.2\.2\/24"/ }

// $conf is a configuration without its last brace.
const rows: readonly Row[] = [
  { what: 'all streams', script: 'echo "$conf}" | $plugin', ...works },
  { what: 'a call in pieces', script: '(printf %s "$conf"; sleep 0.1; echo "}") | $plugin', ...works },
  { what: 'stderr closed', script: 'echo "$conf}" | $plugin 2>&-', ...works },
  { what: 'stdin closed', script: '$plugin <&-', ...refused, out: /"code":[56],/ },
  { what: 'stdin a folder', script: '$plugin < /', ...refused, out: /"code":5,.*error reading from stdin/ },
  {
    what: 'stdout full',
    script: 'echo "$conf}" | $plugin 2>&1 > /dev/full',
    ...refused,
    out: /^error writing the answer to stdout: .*ENOSPC/,
  },
  {
    what: 'a reader of stdout that has gone',
    script: 'exec 3<>/run/fifo 4>/run/fifo 3<&-; echo "$conf}" | $plugin 2>&1 >&4',
    ...refused,
    out: /^error writing the answer to stdout: .*EPIPE/,
  },
  {
    what: 'bytes that are no UTF-8, a quotation mark behind them',
    script: String.raw`printf '%s,"x":"\200"}' "$conf" | $plugin`,
    ...works,
  },
  { what: 'a number of JavaScript', script: `printf '%s,"x":1.}' "$conf" | $plugin`, ...notJson },
]

/** Where Node.js has a way of its own: closed streams are /dev/null there, a script has a name, the limits differ. */
const standaloneRows: readonly Row[] = [
  {
    what: 'stdout closed',
    script: 'echo "$conf}" | $plugin 2>&1 >&-',
    ...refused,
    out: /^error writing the answer to stdout: .*EBADF/,
  },
  {
    what: 'deep nesting where the stack is small',
    script: `ulimit -s 256; head -c 1000000 /dev/zero | tr '\\0' '[' | $plugin`,
    ...notJson,
  },
  {
    what: 'a name of no plugin',
    script: 'cp $plugin /run/foo; echo "$conf}" | /run/foo',
    ...refused,
    out: /"code":7,"msg":"no plugin of kubenet-cni is called \\"foo\\""/,
  },
  {
    what: 'the same, and no call',
    script: 'unset CNI_COMMAND; /run/foo 2>&1',
    ...refused,
    out: /^no plugin of kubenet-cni is called "foo"$/m,
  },
  {
    what: 'SIGTERM while the configuration is waited for',
    // timeout(1) answers 124 if SIGTERM was enough, 137 if it was not.
    script: 'exec 3<>/run/fifo; timeout -k 30 0.3 $plugin <&3',
    ...refused,
    code: 124,
    out: /^$/,
  },
]

for (const flavour of flavours) {
  t.test(`[${flavour}] streams, names and limits`, async t => {
    const host = await PrivateHost.create(t)
    await host.sh('mkfifo /run/fifo')
    const folder = binDir(flavour)
    const env = {
      PATH: '/usr/local/bin:/usr/bin:/bin',
      ...{ CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c1', CNI_NETNS: '/run/netns/c1', CNI_IFNAME: 'eth0' },
      CNI_PATH: folder,
      plugin: `${folder}/host-local`,
      conf: '{"cniVersion":"1.1.0","name":"net","ipam":{"type":"host-local","ranges":[[{"subnet":"10.1.2.0/24"}]]}',
    }
    for (const { what, script, code, leases, out } of [
      ...rows,
      ...(flavour === 'standalone' ? standaloneRows : []),
    ]) {
      const answer = await host.exec(['sh', '-c', script], { env })
      t.equal(answer.code, code, `${what}: ${answer.stdout}${answer.stderr}`)
      t.match(answer.stdout, out, what)
      const left = await host.sh(
        'ls /var/lib/cni/networks/net | grep -c "^10" || true; rm -rf /var/lib/cni/*',
      )
      t.equal(Number(left), leases, `${what}: leases`)
    }
  })
}
