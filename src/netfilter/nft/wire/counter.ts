import type { Expression } from './expression'

// "counter"
//   NFTA_COUNTER_BYTES (be64)                     where to begin; absent for 0
//   NFTA_COUNTER_PACKETS (be64)
export const counterFromZero = (): Expression => ({ name: 'counter', attributes: [] })
