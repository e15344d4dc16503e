/** What the name of every ifb of this plugin, and of the reference's, begins with. */
export const ifbPrefix = 'bwp'
