import { toJsonSchema } from '@valibot/to-json-schema'
import * as v from 'valibot'
import { commonEntries } from '../src/cni/schema'
import { bandwidthSchema } from './bandwidth/config'
import { bridgeSchema } from './bridge/config'
import { hostLocalSchema } from './host-local/config'
import { kubenetSchema } from './kubenet/config'
import { portmapSchema } from './portmap/config'

const describe = (title: string, schema: v.GenericSchema) => ({
  title,
  // The transformations have no JSON Schema form; what they take is described, not what they make of it.
  ...toJsonSchema(schema, { errorMode: 'ignore', typeMode: 'input' }),
})

/** The JSON Schemas of the plugins' configurations, by plugin: what editors check conflists with. */
export const schemas = () => ({
  bandwidth: describe('Configuration of the CNI plugin bandwidth', bandwidthSchema),
  bridge: describe('Configuration of the CNI plugin bridge', bridgeSchema),
  'host-local': describe('Configuration of the CNI plugin host-local', hostLocalSchema),
  kubenet: describe('Configuration of the CNI plugin kubenet', kubenetSchema),
  loopback: describe('Configuration of the CNI plugin loopback', v.object(commonEntries)),
  portmap: describe('Configuration of the CNI plugin portmap', portmapSchema),
})
