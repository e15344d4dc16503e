/** Ranges of networks that lie across each other, or across what the host reaches by other interfaces. */
import { rangeOverlaps } from '../../node/survey/range-overlaps'
import { type Check, fault, orOk } from './diagnosis'

const overlaps: Check = ({ survey: { readings } }) => {
  const lines = rangeOverlaps(readings).map(({ code, ...overlap }) => fault(code, overlap))
  return orOk(lines, 'ranges', 'pod ranges overlap neither each other nor a host route')
}

export const rangeChecks: readonly Check[] = [overlaps]
