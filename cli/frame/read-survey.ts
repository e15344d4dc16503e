import type { CliIo } from '../../node/command/io'
import type { Places } from '../../node/command/places'
import { type Survey, takeSurvey } from '../../node/survey/survey'
import { withProgress } from './progress'

/** Takes a survey, saying so if that takes long. */
export const readSurvey = (places: Places, io: CliIo): Promise<Survey> =>
  withProgress(io, 'reading the node', tell => takeSurvey(places, what => tell(`reading the node: ${what}`)))

/** What could not be read, a line each. */
export const unreadNotes = ({ readings }: Survey): string[] =>
  readings.unread.map(({ what, why }) => `${what} could not be read: ${why}`)
