/**
 * The libraries that nothing but the agent uses. build.mjs packs this file by itself, so that neither a plugin nor
 * another subcommand pays for them; hence nothing else in this folder imports them.
 */
export { KubeConfig } from '@kubernetes/client-node/dist/config.js'
export { load as parseYaml } from 'js-yaml'
export { Counter, Gauge, Histogram, Registry } from 'prom-client'
