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
  /** Characters of one entry, or of a list in brackets, that are neither comments nor blanks. */
  readonly entry: number
  /** Characters of one entry with its comments and blanks, and of a line. */
  readonly commented: number
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

/** What may stand around a document without a meaning. */
const blank: ReadonlySet<string> = new Set(['comment', 'newline', 'space'])

/** So many faults are enough. */
const maxFaults = 100

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
  if (reading.mayBeRead(text)) await reading.read(text, pace)
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
  readonly #parser = new Parser()
  /** For what stands around the entries. */
  readonly #composer = new Composer(composing)
  readonly #limits: YamlLimits
  #documents = 0
  #isContent = false
  /** Where the entry begins that is being read, and how much of it is content. */
  #entry = { start: 0, content: 0 }

  constructor(limits: YamlLimits) {
    this.#limits = limits
  }

  fault(offset: number, message: string): void {
    this.faults.push({ offset, message })
  }

  /** Finds the lines, and what need not be read to be refused. */
  mayBeRead(text: string): boolean {
    if (text.length > this.#limits.text) {
      this.fault(0, `the file has ${String(text.length)} characters; at most ${String(this.#limits.text)} are allowed`)
      return false
    }
    for (let start = 0, end = 0; end !== -1; start = end + 1) {
      end = text.indexOf('\n', start)
      this.lines.addNewLine(start)
      if ((end === -1 ? text.length : end) - start > this.#limits.commented && this.faults.length === 0) {
        this.fault(start, `the line has more than ${String(this.#limits.commented)} characters`)
      }
    }
    const control = /[^\P{Cc}\t\r\n]/u.exec(text)
    if (control !== null) {
      this.fault(control.index, `the control character ${JSON.stringify(control[0])} is not allowed in YAML`)
    }
    return this.faults.length === 0
  }

  async read(text: string, pace: Pace): Promise<void> {
    const lexemes = new Lexer().lex(text)
    while (this.#tried(() => this.#next(lexemes)) && this.faults.length === 0) {
      if (pace.due) await pace.rest()
    }
    if (this.faults.length === 0) this.#tried(() => this.#end(text.length))
  }

  /** The library says that it never throws for a text; should it, that is a fault of the text. */
  #tried(step: () => boolean): boolean {
    try {
      return step()
    } catch (fault) {
      this.fault(this.#parser.offset, `not valid YAML: ${messageOf(fault)}`)
      return false
    }
  }

  /** False where the text ends. */
  #next(lexemes: Iterator<string, void>): boolean {
    const { value: lexeme } = lexemes.next()
    if (lexeme === undefined) return false
    if (!this.#isContent) this.#refuse(lexeme)
    const content = this.#isContent || !/^[\s#]/.test(lexeme) ? lexeme.length : 0
    this.#isContent = lexeme === contentFollows
    for (const token of this.#parser.next(lexeme)) this.#take(token)
    this.#takeEntries(content)
    return true
  }

  #end(length: number): boolean {
    for (const token of this.#parser.end()) this.#take(token)
    if (this.faults.length > 0) return false
    for (const document of this.#composer.end(true, length)) this.#takeFaults(document)
    return true
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
    else if (token.type === 'error') this.fault(token.offset, `not valid YAML: ${token.message}`)
    else if (!blank.has(token.type)) this.#compose(token)
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
  #takeEntries(content: number): void {
    const [document, value] = this.#parser.stack
    if (document?.type !== 'document') return
    const list = value?.type === 'block-seq' ? value : undefined
    this.#measure(list?.items.at(-1)?.start[0]?.offset ?? document.offset, content)
    if (list === undefined || list.items.length < 3) return
    for (const item of list.items.splice(0, list.items.length - 2)) this.#takeEntry(document, list, item)
  }

  #measure(start: number, content: number): void {
    if (start === this.#entry.start) this.#entry.content += content
    else this.#entry = { start, content }
    if (this.#entry.content > this.#limits.entry) {
      this.fault(start, `what begins here has more than ${String(this.#limits.entry)} characters`)
    } else if (this.#parser.offset - start > this.#limits.commented) {
      this.fault(start, `with comments and blanks, more than ${String(this.#limits.commented)} characters begin here`)
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
    const room = maxFaults - this.faults.length
    for (const { pos, message } of [...document.errors, ...document.warnings].slice(0, room)) {
      this.fault(pos[0], `not valid YAML: ${message}`)
    }
  }
}
