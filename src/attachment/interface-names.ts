/** What the names of containers' ifbs begin with: those bandwidth makes, and the reference's. */
export const ifbPrefix = 'bwp'
