import { createIds } from '../ids.ts'

/** The ids of everything that this process makes. */
export const newId = createIds()
