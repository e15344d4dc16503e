import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readBandwidthConf, requirePrevResult } from '../../../plugins/bandwidth/config'
import { parseNetConf } from '../../../src/cni/conf'
import type { Call } from '../../../src/cni/plugin'
import { isJsonObject } from '../../../src/cni/schema'

const callWith = (keys: object): Call => {
  const raw: Record<string, unknown> = { cniVersion: '1.0.0', name: 'net', type: 'bandwidth', ...keys }
  return {
    env: {
      command: 'ADD',
      containerID: 'c1',
      netns: '',
      ifName: 'eth0',
      args: '',
      path: [],
      netnsOverride: false,
    },
    stdin: JSON.stringify(raw),
    raw,
    conf: parseNetConf(raw),
    version: '1.0.0',
    netns: undefined,
    builtIns: new Map(),
  }
}

const read = (keys: object) => readBandwidthConf(callWith(keys))
const runtime = (bandwidth: object) => ({ runtimeConfig: { bandwidth } })
const both = { ingressRate: 8, ingressBurst: 16, egressRate: 24, egressBurst: 32 }
const parsed = {
  network: 'net',
  ingress: { rateBits: 8, burstBits: 16 },
  egress: { rateBits: 24, burstBits: 32 },
}

t.test('limits come from the configuration or from runtimeConfig', async t => {
  t.same(read(both), parsed)
  t.same(read(runtime(both)), parsed)
})

t.test('no limit is one that is absent, null or 0', async t => {
  const none = { network: 'net', ingress: undefined, egress: undefined }
  for (const keys of [
    {},
    { runtimeConfig: null },
    { runtimeConfig: { bandwidth: null } },
    runtime({}),
    { ingressRate: null, ingressBurst: null },
    { ingressRate: 0, ingressBurst: 0, egressRate: 0, egressBurst: 0 },
  ]) {
    t.same(read(keys), none, JSON.stringify(keys))
  }
  t.same(read({ ingressRate: 8, ingressBurst: 16, egressRate: 0, egressBurst: 0 }), {
    ...parsed,
    egress: undefined,
  })
})

t.test('keys are found in any case, as containerd and podman write them', async t => {
  t.same(read({ RuntimeConfig: { bandWidth: { IngressRate: 8, ingressburst: 16 } } }), {
    ...parsed,
    egress: undefined,
  })
})

t.test('one limit of the configuration makes it win as a whole', async t => {
  t.same(read({ egressRate: 24, egressBurst: 32, ...runtime({ ingressRate: 8, ingressBurst: 16 }) }), {
    ...parsed,
    ingress: undefined,
  })
  t.same(read({ ingressRate: 0, ...runtime(both) }), {
    network: 'net',
    ingress: undefined,
    egress: undefined,
  })
  t.throws(() => read({ ingressRate: 0, ingressBurst: 123, ...runtime(both) }), {
    code: 7,
    message: 'if burst is set, rate must also be set',
  })
})

t.test('numbers as large as the kernel takes', async t => {
  t.same(read({ ingressRate: 2 ** 53, ingressBurst: 34_359_738_352 }).ingress, {
    rateBits: 2 ** 53,
    burstBits: 34_359_738_352,
  })
  // 2^64 - 1 in the JSON; the nearest number there is.
  t.equal(read({ ingressRate: 2 ** 64, ingressBurst: 8 }).ingress?.rateBits, 2 ** 64)
})

/** What is refused with code 7, and the whole text; compat: without details. */
const refused: [keys: object, text: string | RegExp][] = [
  [{ ingressRate: 8 }, 'if rate is set, burst must also be set'],
  [{ egressRate: 8, egressBurst: 0 }, 'if rate is set, burst must also be set'],
  [{ ingressBurst: 8 }, 'if burst is set, rate must also be set'],
  [{ egressRate: 0, egressBurst: 8 }, 'if burst is set, rate must also be set'],
  [{ ...both, egressBurst: 34_359_738_360 }, 'burst cannot be more than 4GB'],
  [{ ...both, ingressBurst: 2 ** 60 }, 'burst cannot be more than 4GB'],
  [runtime({ ingressRate: 8 }), 'if rate is set, burst must also be set'],
  [{ ...both, ingressRate: -8 }, /^bandwidth: "ingressRate": expected a whole number/],
  [{ ...both, ingressRate: 8.5 }, /^bandwidth: "ingressRate": expected a whole number/],
  [{ ...both, egressBurst: '80' }, /^bandwidth: "egressBurst": expected number/],
  [{ ...both, egressRate: true }, /^bandwidth: "egressRate": expected number/],
  [{ ...both, egressRate: [1] }, /^bandwidth: "egressRate": expected number/],
  [{ ...both, ingressRate: 2 ** 65 }, /^bandwidth: "ingressRate": expected a whole number/],
  [{ ...both, ingressRate: Number.NaN }, /^bandwidth: "ingressRate": expected number/],
  [{ ...both, ingressRate: Number.POSITIVE_INFINITY }, /^bandwidth: "ingressRate": expected a whole number/],
  [
    runtime({ egressRate: '1M', egressBurst: 8 }),
    /^bandwidth: "runtimeConfig.bandwidth.egressRate": expected/,
  ],
  [{ runtimeConfig: { bandwidth: 8 } }, /^bandwidth: "runtimeConfig.bandwidth": expected Object/],
]

for (const [keys, text] of refused) {
  t.test(`${JSON.stringify(keys)} is refused: ${text}`, async t => {
    t.throws(() => read(keys), { code: 7, message: text, details: '' })
  })
}

t.test('without a prevResult there is nothing to chain to', async t => {
  t.throws(() => requirePrevResult(callWith({})), {
    code: 7,
    message: 'must be called as chained plugin',
    details: '',
  })
  const prevResult = { cniVersion: '1.0.0', interfaces: [{ name: 'veth1' }] }
  t.match(requirePrevResult(callWith({ prevResult })), { interfaces: [{ name: 'veth1' }] })
})

t.test('calls recorded from containerd and cnitool', async t => {
  const recorded = (name: string) => {
    const value: unknown = JSON.parse(readFileSync(join(__dirname, 'fixtures', `${name}.json`), 'utf8'))
    return isJsonObject(value) && isJsonObject(value.stdin) ? read(value.stdin) : undefined
  }
  t.same(recorded('containerd-add'), {
    network: 'cl-cri',
    ingress: { rateBits: 16_000_000, burstBits: 4_294_967_295 },
    egress: { rateBits: 8_000_000, burstBits: 4_294_967_295 },
  })
  t.same(recorded('containerd-add-one-way')?.egress, undefined)
  t.same(recorded('cnitool-check'), {
    network: 'cl-net',
    ingress: { rateBits: 16_000_000, burstBits: 160_000 },
    egress: { rateBits: 8_000_000, burstBits: 80_000 },
  })
  t.same(recorded('containerd-del'), { network: 'cl-cri', ingress: undefined, egress: undefined })
})
