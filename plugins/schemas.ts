import { toJsonSchema } from '@valibot/to-json-schema'
import type { GenericSchema } from 'valibot'
import { hostLocalSchema } from './host-local/config'

const describe = (title: string, schema: GenericSchema) => ({
  title,
  // The transformations have no JSON Schema form; what they take is described, not what they make of it.
  ...toJsonSchema(schema, { errorMode: 'ignore', typeMode: 'input' }),
})

/** The JSON Schemas of the plugins' configurations, by plugin: what editors check conflists with. */
export const schemas = () => ({
  'host-local': describe('Configuration of the CNI plugin host-local', hostLocalSchema()),
})
