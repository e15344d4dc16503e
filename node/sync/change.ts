/** The changes of a sync, one at a time: said first, so that a dry run can stop there. */
import { Undo, undoOnFailure } from '../../src/host/undo'

/** The kinds of things that are rebuilt: short names that never change, for scripts. */
export type ChangeKind = 'bridge' | 'port' | 'address' | 'forwarding' | 'rules' | 'host-ports' | 'rates'

/** One thing that is not as the records say, and how to make it so. */
export type Change = {
  readonly what: ChangeKind
  /** The change and its object: `make "veth12" a port of "cbr0"`. */
  readonly text: string
  apply(): void | Promise<void>
  /** Removes what was written, for an attachment that is gone; absent if DEL removes it. */
  readonly takeBack?: () => void | Promise<void>
}

/**
 * Does a repair that takes several steps, and takes it back where it fails half-way. Where a part of the thing was there
 * (`isPartial`) what was added stays: to take it back would take that part too, of a container that runs.
 */
export const repair = async (
  isPartial: boolean,
  work: (undo: Undo) => void | Promise<void>,
): Promise<void> => {
  if (isPartial) await work(new Undo())
  else await undoOnFailure(async undo => work(undo))
}

/** Compares one aspect of an attachment with the kernel; changes nothing itself. */
export type Comparison = () => Change[] | Promise<Change[]>
