/**
 * Which pod a container is of. Runtimes of Kubernetes say it in CNI_ARGS; people know pods by their names, and container
 * IDs only from messages, so that both stand side by side wherever the name is known.
 */

type Container = {
  readonly containerID: string
  /** "namespace/name" */
  readonly pod?: string | undefined
}

/** "4f2a (pod default/web)", or "4f2a". */
export const containerWithPod = ({ containerID, pod }: Container): string =>
  pod ? `${containerID} (pod ${pod})` : containerID

/** The pod in CNI_ARGS, "namespace/name"; undefined if it names none. */
export const podInArgs = (args: string): string | undefined => {
  const value = (key: string) => new RegExp(`(?:^|;)K8S_POD_${key}=([^;]*)`).exec(args)?.[1]
  const name = value('NAME')
  return name ? [value('NAMESPACE'), name].filter(Boolean).join('/') : undefined
}
