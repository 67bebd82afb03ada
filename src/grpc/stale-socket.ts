import { statSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'

/** Removes the Unix socket of a server that was killed: nobody answers there, and nobody could listen. Leaves all else alone. */
export async function removeStaleSocket(path: string): Promise<void> {
  if (statSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return
  if (await isAbandoned(path)) unlinkSync(path)
}

function isAbandoned(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(false)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code === 'ECONNREFUSED')
    })
  })
}
