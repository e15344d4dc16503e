/** What kubelet's own kubenet (Kubernetes up to 1.23) leaves on a node, by code. See faults.ts. */
import { warn } from './fault'

const cause = 'kubelet ends without removing it'

export const kubeletFaults = {
  KN0090: warn('kubelet', "rules of kubelet's kubenet in iptables", cause, '`doctor --fix`'),
  KN0091: warn('kubelet', "chain KUBE-DEDUP of kubelet's kubenet in ebtables", cause, '`doctor --fix`'),
  KN0092: warn(
    'kubelet',
    "limits of kubelet's kubenet on cbr0",
    cause,
    '`doctor --fix`; by hand where the form is another',
  ),
} as const
