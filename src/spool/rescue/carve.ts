import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs'
import { isUtf8 } from 'node:buffer'
import { maxRecordBytes } from '../../audit/redact.ts'
import { type LinePlace, placeOf } from '../file/line-place.ts'

// Finds records in the bytes of a database and its journal, where SQLite finds none: behind a page or a frame that it does not
// believe. A line carries its own place and hash, so nothing else has to be believed. File format: sqlite.org/fileformat2.html.

/** How each line begins (src/audit/record.ts). */
const lineStart = Buffer.from('{"specversion":"1.0",')
const hashMember = Buffer.from('","hash":"')
const lineEnd = Buffer.from('"}')
const hashDigits = 64
const pageBytes = 4096
const journalHeader = 32
const frameHeader = 24
const chunkPages = 256
/** Ways to put the versions of a record's pages together that are tried. */
const mostTries = 64

export interface CarvedLine {
  readonly place: LinePlace
  readonly line: string
}

/** Gives every whole line in the file at `path` and its journal, some of them several times, in no order. */
export function* carveLines(path: string): Generator<CarvedLine> {
  const images = openImages(path)
  try {
    for (const page of images.pages()) yield* linesIn(page, images)
  } finally {
    images.close()
  }
}

/** A record's cell holds all of its line, or its beginning and the number of the first of a chain of overflow pages. */
function* linesIn(page: Buffer, images: Images): Generator<CarvedLine> {
  for (let at = page.indexOf(lineStart); at !== -1; at = page.indexOf(lineStart, at + 1)) {
    const whole = lineAt(page.subarray(at)) ?? overflowing(page.subarray(at), images)
    if (whole !== undefined) yield whole
  }
}

/** The line that these bytes begin with; undefined where they hold no line with the right hash. */
function lineAt(bytes: Buffer): CarvedLine | undefined {
  for (let at = bytes.indexOf(hashMember); at !== -1; at = bytes.indexOf(hashMember, at + 1)) {
    const end = at + hashMember.length + hashDigits
    if (!bytes.subarray(end, end + lineEnd.length).equals(lineEnd)) continue
    const line = bytes.subarray(0, end + lineEnd.length)
    if (!isUtf8(line)) continue
    const text = line.toString()
    const place = placeOf(text)
    if (place !== undefined) return { place, line: text }
  }
  return undefined
}

/**
 * Where the line leaves the page, four bytes follow that no text holds: the number of the page on which it goes on. Which versions of
 * the pages belong together, the hash tells.
 */
function overflowing(start: Buffer, images: Images): CarvedLine | undefined {
  for (let at = lineStart.length; at + 4 <= start.length; at += 1) {
    const next = start.readUInt32BE(at)
    if (next === 0 || next > images.lastPage) continue
    return goOn({ parts: [start.subarray(0, at)], bytes: at, next }, images, { tries: 0 })
  }
  return undefined
}

interface Chain {
  readonly parts: readonly Buffer[]
  readonly bytes: number
  readonly next: number
}

function goOn({ parts, bytes, next }: Chain, images: Images, tried: { tries: number }): CarvedLine | undefined {
  for (const page of images.versions(next)) {
    if (tried.tries >= mostTries || bytes > maxRecordBytes) return undefined
    const after = page.readUInt32BE(0)
    const more = [...parts, page.subarray(4)]
    if (after !== 0 && after <= images.lastPage) {
      const found = goOn({ parts: more, bytes: bytes + page.length - 4, next: after }, images, tried)
      if (found !== undefined) return found
      continue
    }
    tried.tries += 1
    const line = lineAt(Buffer.concat(more))
    if (line !== undefined) return line
  }
  return undefined
}

/** Every version of every page that a database and its journal hold. */
interface Images {
  readonly lastPage: number
  pages(): Generator<Buffer>
  /** The versions of one page, newest first. */
  versions(number: number): Generator<Buffer>
  close(): void
}

function openImages(path: string): Images {
  const database = openPart(path)
  const journal = openPart(`${path}-wal`)
  const frames = new Map<number, number[]>()
  const stride = frameHeader + pageBytes
  const header = Buffer.alloc(4)
  for (let at = journalHeader; at + frameHeader < journal.size; at += stride) {
    journal.read(header, at)
    const number = header.readUInt32BE(0)
    frames.set(number, [...(frames.get(number) ?? []), at + frameHeader])
  }
  return {
    lastPage: Math.max(
      Math.ceil(database.size / pageBytes),
      ...[...frames.keys()].filter((number) => number < 2 ** 29),
    ),
    *pages() {
      yield* pagesOf(database, 0, pageBytes, 0)
      yield* pagesOf(journal, journalHeader, stride, frameHeader)
    },
    *versions(number) {
      for (const at of (frames.get(number) ?? []).toReversed()) yield journal.page(at)
      if (number * pageBytes <= database.size) yield database.page((number - 1) * pageBytes)
    },
    close: () => {
      database.close()
      journal.close()
    },
  }
}

interface Part {
  readonly size: number
  read(into: Buffer, at: number): number
  page(at: number): Buffer
  close(): void
}

function openPart(path: string): Part {
  if (!existsSync(path)) return { size: 0, read: () => 0, page: () => Buffer.alloc(pageBytes), close: () => undefined }
  const file = openSync(path, 'r')
  const read = (into: Buffer, at: number): number => readSync(file, into, 0, into.length, at)
  return {
    size: fstatSync(file).size,
    read,
    page: (at) => {
      const page = Buffer.alloc(pageBytes)
      read(page, at)
      return page
    },
    close: () => {
      closeSync(file)
    },
  }
}

function* pagesOf(part: Part, start: number, stride: number, skip: number): Generator<Buffer> {
  const chunk = Buffer.alloc(stride * chunkPages)
  for (let at = start; at < part.size; at += chunk.length) {
    const length = part.read(chunk, at)
    for (let page = 0; page < length; page += stride) {
      yield chunk.subarray(page + skip, Math.min(length, page + stride))
    }
  }
}
