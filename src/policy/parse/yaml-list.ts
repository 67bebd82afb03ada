import {
  Composer,
  isNode,
  isSeq,
  Lexer,
  LineCounter,
  Parser,
  type CST,
  type Document,
  type Node,
  type ParseOptions,
} from 'yaml'
import { messageOf } from '../../errors.ts'
import type { Pace } from '../pace.ts'

/** What a YAML list may have; each is checked before it can cost anything. */
export interface YamlLimits {
  /** Characters of the whole text. */
  readonly text: number
  readonly entries: number
  /** Characters of one entry. */
  readonly entry: number
  /** Lists and mappings inside one another. */
  readonly depth: number
}

/** One member of the list; null where nothing stands behind the dash. */
export interface YamlEntry {
  readonly node: Node | null
  /** Where it begins, counted in characters from 0. */
  readonly offset: number
}

export interface YamlFault {
  readonly offset: number
  readonly message: string
}

export interface YamlList {
  readonly entries: readonly YamlEntry[]
  readonly faults: readonly YamlFault[]
  /** 1-based line and column of an offset. */
  placeOf(offset: number): { readonly line: number; readonly column: number }
}

/** With this the lexer announces that the next lexeme is content, whatever it begins with. */
const contentFollows = '\u001F'

/** Repeated keys are left to the reader: the library compares each key with each other. */
const composing: ParseOptions & { readonly schema: 'core'; readonly version: '1.2' } = {
  schema: 'core',
  version: '1.2',
  uniqueKeys: false,
  strict: true,
  prettyErrors: false,
}

/**
 * Reads a YAML document that is a list, entry by entry, so that neither its size nor its nesting can stop everything else.
 * Tags, directives and further documents are faults. Aliases stay aliases. MUST NOT throw for what stands in the text.
 */
export async function readYamlList(text: string, limits: YamlLimits, pace: Pace): Promise<YamlList> {
  const reading = new Reading(limits)
  try {
    if (reading.mayBeRead(text)) await reading.read(text, pace)
  } catch (fault) {
    // The library says that it never throws for a text.
    reading.fault(reading.offset, `not valid YAML: ${messageOf(fault)}`)
  }
  const { entries, faults, lines } = reading
  return {
    entries,
    faults,
    placeOf(offset) {
      const { line, col } = lines.linePos(offset)
      return line === 0 ? { line: 1, column: 1 } : { line, column: col }
    },
  }
}

class Reading {
  readonly entries: YamlEntry[] = []
  readonly faults: YamlFault[] = []
  readonly lines = new LineCounter()
  readonly #parser = new Parser((offset) => void this.lines.addNewLine(offset))
  /** For what stands around the entries. */
  readonly #composer = new Composer(composing)
  readonly #limits: YamlLimits
  #documents = 0

  constructor(limits: YamlLimits) {
    this.#limits = limits
    this.lines.addNewLine(0)
  }

  get offset(): number {
    return this.#parser.offset
  }

  fault(offset: number, message: string): void {
    this.faults.push({ offset, message })
  }

  mayBeRead(text: string): boolean {
    const control = /[^\P{Cc}\t\r\n]/u.exec(text)
    if (text.length > this.#limits.text) {
      this.fault(0, `the file has ${String(text.length)} characters; at most ${String(this.#limits.text)} are allowed`)
    } else if (control !== null) {
      for (let at = text.indexOf('\n'); at !== -1 && at < control.index; at = text.indexOf('\n', at + 1)) {
        this.lines.addNewLine(at + 1)
      }
      this.fault(control.index, `the control character ${JSON.stringify(control[0])} is not allowed in YAML`)
    }
    return this.faults.length === 0
  }

  async read(text: string, pace: Pace): Promise<void> {
    let isContent = false
    for (const lexeme of new Lexer().lex(text)) {
      if (!isContent) this.#refuse(lexeme)
      isContent = lexeme === contentFollows
      for (const token of this.#parser.next(lexeme)) this.#take(token)
      this.#takeEntries()
      if (this.faults.length > 0) return
      if (pace.due) await pace.rest()
    }
    for (const token of this.#parser.end()) this.#take(token)
    if (this.faults.length > 0) return
    for (const document of this.#composer.end(true, text.length)) this.#takeFaults(document)
  }

  #refuse(lexeme: string): void {
    const { stack, offset } = this.#parser
    if (lexeme.startsWith('!')) this.fault(offset, `the tag ${JSON.stringify(lexeme)} is not supported; leave it out`)
    if (lexeme.startsWith('%')) this.fault(offset, 'directives are not supported; leave the line out')
    if (stack.length > this.#limits.depth + 2) {
      this.fault(offset, `more than ${String(this.#limits.depth)} lists and mappings stand inside one another`)
    }
  }

  #take(token: CST.Token): void {
    if (token.type === 'document') this.#takeDocument(token)
    else this.#compose(token)
  }

  #takeDocument(document: CST.Document): void {
    this.#documents += 1
    if (this.#documents > 1) this.fault(document.offset, 'a second document begins here; one is allowed')
    else if (document.value?.type === 'block-seq') {
      const list = document.value
      for (const item of list.items.splice(0)) this.#takeEntry(document, list, item)
      this.#compose(document)
    } else this.#takeWhole(document)
  }

  /** A list in brackets, or what is no list. */
  #takeWhole(token: CST.Document): void {
    this.#compose(token)
    const { value } = token
    if (value === undefined) return
    const [document] = new Composer(composing).compose([token])
    const contents = document?.contents
    if (isSeq(contents)) this.#addEntries(contents.items, value.offset)
    else if (this.faults.length === 0) this.fault(value.offset, 'expected a list: each entry begins with "- "')
  }

  /** Takes finished entries of the list, so that their syntax need not be kept; the parser looks at the last two. */
  #takeEntries(): void {
    const [document, value] = this.#parser.stack
    if (document?.type !== 'document' || value === undefined) return
    const start = (value.type === 'block-seq' ? value.items.at(-1)?.start[0] : value)?.offset ?? value.offset
    if (this.offset - start > this.#limits.entry) {
      this.fault(start, `what begins here is longer than ${String(this.#limits.entry)} characters`)
    } else if (value.type === 'block-seq' && value.items.length > 2) {
      for (const item of value.items.splice(0, value.items.length - 2)) this.#takeEntry(document, value, item)
    }
  }

  /** Composed as if it were the only one: composing all at once would stop everything else. */
  #takeEntry(token: CST.Document, list: CST.BlockSequence, item: CST.BlockSequence['items'][number]): void {
    const alone: CST.Document = { type: 'document', offset: token.offset, start: [], value: { ...list, items: [item] } }
    for (const document of new Composer(composing).compose([alone])) {
      this.#takeFaults(document)
      const offset = item.start[0]?.offset ?? list.offset
      if (isSeq(document.contents)) this.#addEntries(document.contents.items, offset)
    }
  }

  #addEntries(nodes: readonly unknown[], offset: number): void {
    const room = this.#limits.entries - this.entries.length
    for (const node of nodes.slice(0, room)) {
      this.entries.push(isNode(node) ? { node, offset: node.range?.[0] ?? offset } : { node: null, offset })
    }
    if (nodes.length > room) this.fault(offset, `more than ${String(this.#limits.entries)} entries`)
  }

  #compose(token: CST.Token): void {
    for (const document of this.#composer.next(token)) this.#takeFaults(document)
  }

  #takeFaults(document: Document.Parsed): void {
    for (const { pos, message } of [...document.errors, ...document.warnings]) {
      this.fault(pos[0], `not valid YAML: ${message}`)
    }
  }
}
