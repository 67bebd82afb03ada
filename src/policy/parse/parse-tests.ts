import { isAlias, isMap, isScalar, isSeq, type Node, type YAMLMap } from 'yaml'
import type { PolicyRequest, PolicyToken } from '../../decision/rule-set.ts'
import type { Pace } from '../pace.ts'
import type { PolicyModel } from '../policy-model.ts'
import { problem, shown, type PolicyProblem } from '../problem.ts'
import type { SourceFile } from '../source/source.ts'
import type { PolicyRow } from './parse-rules.ts'
import { findRules } from './test-rules.ts'
import { readYamlList, type YamlEntry, type YamlLimits, type YamlList } from './yaml-list.ts'

/** One test of a policy: what a request has to get. */
export interface PolicyTest {
  /** No other test of the file has it. */
  readonly name: string
  readonly request: PolicyRequest
  readonly expect: 'allow' | 'deny'
  /** The rule that has to settle it (the first one, where it stands twice); null where any may, or none. */
  readonly rule: PolicyRow | null
  /** Name of the file. */
  readonly file: string
  /** Where the test begins, 1-based. */
  readonly line: number
  readonly column: number
}

export interface ParsedTests {
  /** In the order of the file; those with a problem are left out. */
  readonly cases: readonly PolicyTest[]
  readonly problems: readonly PolicyProblem[]
}

/** A test of which the rule has not been looked for. */
interface TestDraft {
  readonly test: PolicyTest
  readonly rule: { readonly text: string; readonly offset: number } | null
}

export const testLimits: YamlLimits = {
  text: 4 * 1024 * 1024,
  entries: 10_000,
  entry: 4_096,
  commented: 65_536,
  depth: 8,
}
const maxNameLength = 200
const maxProblems = 1_000

const members = ['name', 'request', 'expect', 'rule'] as const
type Member = (typeof members)[number]

/**
 * Reads tests.yaml: a YAML list of `{name, request, expect, rule?}`, where a request has the model's tokens. Whatever is
 * wrong is a problem with its place. Never throws.
 */
export async function parseTests(
  file: SourceFile,
  policy: { readonly model: Pick<PolicyModel, 'tokens'>; readonly rows: readonly PolicyRow[] },
  pace: Pace,
): Promise<ParsedTests> {
  const list = await readYamlList(file.text, testLimits, pace)
  const reader = new TestReader(file.name, policy.model.tokens, list)
  // What is no YAML would be misread: a missing quote hides the members behind it.
  for (const { offset, message } of list.faults) reader.refuse(offset, message)
  if (list.faults.length > 0) return { cases: [], problems: reader.problems }
  const drafts: TestDraft[] = []
  for (const entry of list.entries) {
    const draft = reader.read(entry)
    if (draft !== null) drafts.push(draft)
    if (reader.problems.length >= maxProblems) break
    if (pace.due) await pace.rest()
  }
  const cases = await withRules(drafts, policy.rows, reader, pace)
  return { cases, problems: reader.problems }
}

/** The tests with the rules that they name; those of which the rule is not there are left out. */
async function withRules(
  drafts: readonly TestDraft[],
  rows: readonly PolicyRow[],
  reader: TestReader,
  pace: Pace,
): Promise<PolicyTest[]> {
  const texts = drafts.map(({ rule }) => rule?.text).filter((text) => text !== undefined)
  const found = (await findRules(texts, rows, pace)).values()
  const cases: PolicyTest[] = []
  for (const { test, rule } of drafts) {
    const row = rule === null ? null : found.next().value
    if (typeof row === 'string') reader.refuse(rule?.offset ?? 0, row)
    else cases.push({ ...test, rule: row ?? null })
  }
  return cases
}

/** A value, and where it is used: an alias stands elsewhere than what it means. */
interface Found {
  readonly node: unknown
  readonly offset: number
}

class TestReader {
  readonly problems: PolicyProblem[] = []
  readonly #file: string
  readonly #tokens: readonly PolicyToken[]
  readonly #list: YamlList
  readonly #anchors = new Map<string, Node>()
  readonly #lines = new Map<string, number>()
  /** Several tests may share a request by an alias; it is read once. */
  readonly #requests = new Map<YAMLMap, PolicyRequest | null>()

  constructor(file: string, tokens: readonly PolicyToken[], list: YamlList) {
    this.#file = file
    this.#tokens = tokens
    this.#list = list
  }

  /** Always null, which stands for what could not be read. */
  refuse(offset: number, message: string): null {
    const { line, column } = this.#list.placeOf(offset)
    this.problems.push(problem(this.#file, line, 'TEST_INVALID', message, column))
    return null
  }

  read(entry: YamlEntry): TestDraft | null {
    const { node, offset } = this.#resolve(entry)
    if (!isMap(node)) {
      return this.refuse(offset, `a test is a mapping of ${members.join(', ')}; found ${kindOf(node)}`)
    }
    const found = this.#membersOf(node, members, 'a test')
    // Each is read, so that each is told what is wrong with it.
    const name = this.#name(found.get('name'), offset)
    const request = this.#request(found.get('request'), offset)
    const expect = this.#effect(found.get('expect'), offset)
    const rule = found.get('rule')
    const text = rule === undefined ? undefined : this.#text(rule, 'the rule', 'the text of a line "p, …"')
    if (name === null || request === null || expect === null || text === null) return null
    const test = { name, request, expect, rule: null, file: this.#file, ...this.#list.placeOf(offset) }
    return { test, rule: rule === undefined || text === undefined ? null : { text, offset: rule.offset } }
  }

  #name(found: Found | undefined, test: number): string | null {
    if (found === undefined)
      return this.refuse(test, 'the test has no name; any text that no other test has is allowed')
    const name = this.#text(found, 'the name', 'a text that no other test has')
    if (name === null) return null
    const { line } = this.#list.placeOf(found.offset)
    const before = this.#lines.get(name)
    if (before !== undefined) {
      return this.refuse(found.offset, `the name ${shown(name)} stands in line ${String(before)} already`)
    }
    this.#lines.set(name, line)
    if (name.length <= maxNameLength) return name
    const length = String(name.length)
    return this.refuse(found.offset, `the name has ${length} characters; at most ${String(maxNameLength)} are allowed`)
  }

  #request(found: Found | undefined, test: number): PolicyRequest | null {
    const allowed = `a mapping of the model's tokens: ${this.#tokens.join(', ')}`
    if (found === undefined) return this.refuse(test, `the test has no request; it is ${allowed}`)
    const { node, offset } = found
    if (!isMap(node) || node.items.length === 0) {
      return this.refuse(offset, `the request is ${isMap(node) ? 'empty' : kindOf(node)}; allowed: ${allowed}`)
    }
    if (!this.#requests.has(node)) this.#requests.set(node, this.#requestOf(node))
    return this.#requests.get(node) ?? null
  }

  #requestOf(map: YAMLMap): PolicyRequest | null {
    const before = this.problems.length
    const request: { [token in PolicyToken]?: string } = {}
    for (const [token, found] of this.#membersOf(map, this.#tokens, "the model's request definition", 'token')) {
      const text = this.#text(found, token, 'a text; a token that the request does not have is left out')
      if (text !== null) request[token] = text
    }
    return this.problems.length === before ? request : null
  }

  #effect(found: Found | undefined, test: number): 'allow' | 'deny' | null {
    if (found === undefined) return this.refuse(test, 'the test does not say what to expect; allowed: allow, deny')
    const value = isScalar(found.node) ? found.node.value : undefined
    if (value === 'allow' || value === 'deny') return value
    const what = typeof value === 'string' ? shown(value) : kindOf(found.node)
    return this.refuse(found.offset, `expect is ${what}; allowed: allow, deny`)
  }

  /** A text, or a number as it is written. */
  #text({ node, offset }: Found, what: string, allowed: string): string | null {
    const text = isScalar(node) ? textOf(node) : undefined
    if (text === undefined || text === '') {
      const quotes = isScalar(node) && typeof node.value === 'boolean' ? ' (write it in quotes)' : ''
      return this.refuse(offset, `${what} is ${text === '' ? 'empty' : kindOf(node)}; allowed: ${allowed}${quotes}`)
    }
    const control = /\p{Cc}/u.exec(text)
    if (control === null) return text
    return this.refuse(offset, `${what} holds the control character ${JSON.stringify(control[0])}; allowed: ${allowed}`)
  }

  /** The members of a mapping by name; those that are unknown, repeated or no text are problems. */
  #membersOf<Name extends Member | PolicyToken>(
    map: YAMLMap,
    allowed: readonly Name[],
    owner: string,
    kind = 'member',
  ): Map<Name, Found> {
    const found = new Map<Name, Found>()
    for (const pair of map.items) {
      const key = this.#resolve({ node: pair.key, offset: map.range?.[0] ?? 0 })
      const value = this.#resolve({ node: pair.value, offset: key.offset })
      const name = allowed.find((known) => isScalar(key.node) && key.node.value === known)
      if (name === undefined) {
        const what = isScalar(key.node) ? shown(String(key.node.value)) : kindOf(key.node)
        this.refuse(key.offset, `${owner} has no ${kind} ${what}; allowed: ${allowed.join(', ')}`)
      } else if (found.has(name)) this.refuse(key.offset, `${shown(name)} stands twice`)
      else found.set(name, value)
    }
    return found
  }

  /** What an alias means, and the place where it stands. What has an anchor is remembered. */
  #resolve({ node, offset }: Found): Found {
    const at = isPlaced(node) ? (node.range?.[0] ?? offset) : offset
    if (isAlias(node)) {
      const meant = this.#anchors.get(node.source)
      if (meant === undefined) this.refuse(at, `the alias *${node.source} has no anchor &${node.source} before it`)
      return { node: meant, offset: at }
    }
    if ((isMap(node) || isScalar(node) || isSeq(node)) && node.anchor !== undefined)
      this.#anchors.set(node.anchor, node)
    return { node, offset: at }
  }
}

function isPlaced(node: unknown): node is Node {
  return isMap(node) || isScalar(node) || isSeq(node) || isAlias(node)
}

function textOf(node: { readonly value: unknown; readonly source?: string }): string | undefined {
  if (typeof node.value === 'string') return node.value
  return typeof node.value === 'number' ? (node.source ?? String(node.value)) : undefined
}

function kindOf(node: unknown): string {
  if (isMap(node)) return 'a mapping'
  if (isSeq(node)) return 'a list'
  if (!isScalar(node) || node.value === null) return 'nothing'
  return typeof node.value === 'string' ? `the text ${shown(node.value)}` : `the value ${String(node.source)}`
}
