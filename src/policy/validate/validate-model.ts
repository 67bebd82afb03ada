import { policyTokens, type PolicyToken } from '../../decision/rule-set.ts'
import { parseMatcher, type Condition, type MatcherScope } from '../parse/matcher.ts'
import { readsOf, type MatcherReads } from '../parse/matcher-reads.ts'
import { placeIn, sections, type Definition, type ParsedModel, type SectionKey } from '../parse/parse-model.ts'
import { effects, type PolicyEffect, type PolicyModel } from '../policy-model.ts'
import { maxProblems, problem, shown, type PolicyProblem, type PolicyProblemCode } from '../problem.ts'
import { modelFile } from '../source/source.ts'

export interface ModelOutcome {
  /** There only where nothing is wrong with it. */
  readonly model?: PolicyModel
  readonly problems: readonly PolicyProblem[]
}

/** Checks the definitions of a model and makes of them what the rules are checked against. */
export function validateModel(text: string, parsed: ParsedModel): ModelOutcome {
  const problems = [...parsed.problems]
  const checks = new ModelChecks(problems)
  const { definitions } = parsed
  const find = (section: SectionKey) => definitions.find((definition) => definition.section === section)
  const [request, policy, effect, matcher] = [find('r'), find('p'), find('e'), find('m')]
  if (!request || !policy || !effect || !matcher) return { problems: [...problems, ...missingDefinitions(parsed)] }
  const scope: MatcherScope = {
    tokens: checks.tokens(request),
    columns: checks.columns(policy),
    roles: checks.roles(definitions.filter((definition) => definition.section === 'g')),
  }
  const checkedEffect = checks.effect(effect)
  // With a name missing above, every use of it would be reported again.
  if (problems.length > 0) return { problems }
  const checkedMatcher = checks.matcher(matcher, scope)
  if (checkedEffect === 'subject-priority') checks.subjectPriority(policy, scope)
  if (problems.length > 0 || !checkedEffect || !checkedMatcher) return { problems }
  const { condition, reads } = checkedMatcher
  return { model: { text, definitions, ...scope, effect: checkedEffect, matcher: condition, reads }, problems }
}

function missingDefinitions({ definitions, problems }: ParsedModel): PolicyProblem[] {
  const unreadable = problems.some(({ code }) =>
    ['POLICY_TOO_LARGE', 'MODEL_SYNTAX', 'DEFINITION_UNKNOWN'].includes(code),
  )
  const needed = (['r', 'p', 'e', 'm'] as const).filter((key) => !definitions.some(({ section }) => section === key))
  // A definition that could not be read has its problem already.
  return (unreadable ? [] : needed).map((key) =>
    problem(
      modelFile,
      null,
      'DEFINITION_MISSING',
      `the section ${sections[key]} with its definition "${key} = …" is missing`,
    ),
  )
}

class ModelChecks {
  readonly #problems: PolicyProblem[]

  constructor(problems: PolicyProblem[]) {
    this.#problems = problems
  }

  /** `index` is that of the definition's value. */
  #refuse(definition: Definition, index: number, code: PolicyProblemCode, message: string): void {
    if (this.#problems.length >= maxProblems) return
    const { line, column } = placeIn(definition, index)
    this.#problems.push(problem(modelFile, line, code, message, column))
  }

  tokens(definition: Definition): readonly PolicyToken[] {
    const names = this.columns(definition)
    const isToken = (name: string): name is PolicyToken => Object.hasOwn(policyTokens, name)
    for (const { value: name, index } of listed(definition)) {
      if (isToken(name)) continue
      const allowed = Object.keys(policyTokens).join(', ')
      this.#refuse(definition, index, 'TOKEN_UNKNOWN', `unknown token ${shown(name)}; allowed: ${allowed}`)
    }
    return names.filter(isToken)
  }

  columns(definition: Definition): readonly string[] {
    const names = new Set<string>()
    const all = listed(definition)
    for (const { value: name, index } of all) {
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
        const message = `${shown(name)} is no name; letters, digits and "_" are allowed, separated by commas`
        this.#refuse(definition, index, 'COLUMN_INVALID', message)
      } else if (names.has(name)) {
        this.#refuse(definition, index, 'COLUMN_INVALID', `the name ${shown(name)} stands twice`)
      }
      names.add(name)
    }
    return all.map(({ value }) => value)
  }

  roles(definitions: readonly Definition[]): ReadonlyMap<string, number> {
    const roles = new Map<string, number>()
    for (const definition of definitions) {
      const parts = definition.value.split(',').map((part) => part.trim())
      if (parts.some((part) => part !== '_') || parts.length < 2 || parts.length > 3) {
        const message = `found ${shown(definition.value)}; a role definition is "_, _", or "_, _, _" with a domain`
        this.#refuse(definition, 0, 'ROLE_DEFINITION_INVALID', message)
      }
      roles.set(definition.key, parts.length)
    }
    return roles
  }

  effect(definition: Definition): PolicyEffect | undefined {
    const { value } = definition
    if (Object.hasOwn(effects, value)) return effects[value as keyof typeof effects]
    const allowed = Object.keys(effects).join('   ')
    if (value.replace(/\s/g, '') === '!some(where(p.eft==deny))') {
      const message = `${shown(value)} allows whatever no rule denies; allowed: ${allowed}`
      this.#refuse(definition, 0, 'EFFECT_ALLOWS_BY_DEFAULT', message)
    } else {
      this.#refuse(
        definition,
        0,
        'EFFECT_UNKNOWN',
        `unknown effect ${shown(value)}; allowed, to the letter: ${allowed}`,
      )
    }
    return undefined
  }

  matcher(definition: Definition, scope: MatcherScope): { condition: Condition; reads: MatcherReads } | undefined {
    const { condition, problems } = parseMatcher(definition, scope)
    this.#problems.push(...problems)
    if (condition === undefined) return undefined
    const reads = readsOf(condition)
    if (reads.tokens.size === 0) {
      this.#refuse(
        definition,
        0,
        'MATCHER_WITHOUT_REQUEST',
        'the matcher reads no token of the request: it would answer all alike',
      )
    }
    if (![...reads.columns.keys()].some((column) => column !== 'eft')) {
      this.#refuse(
        definition,
        0,
        'MATCHER_WITHOUT_RULE',
        'the matcher reads no column of p: no rule could be the reason of an allow',
      )
    }
    return { condition, reads }
  }

  /** Casbin sorts by the columns "sub" and "dom" of p, and reads the role links by the places of p's columns. */
  subjectPriority(definition: Definition, { columns, roles }: MatcherScope): void {
    const arity = roles.get('g')
    const domain = columns.indexOf('dom')
    const fits =
      columns[0] === 'sub' && columns[1] === 'obj' && (arity === 3 ? domain === 2 : arity === 2 && domain === -1)
    if (fits) return
    const message =
      'subjectPriority needs a role definition g, and p = sub, obj, … (with a domain: p = sub, obj, dom, … and g = _, _, _)'
    this.#refuse(definition, 0, 'SUBJECT_PRIORITY_INVALID', message)
  }
}

/** The names of a definition that separates them by commas, with their places in its value. */
function listed({ value }: Definition): { value: string; index: number }[] {
  let from = 0
  return value.split(',').map((part) => {
    const index = from + part.length - part.trimStart().length
    from += part.length + 1
    return { value: part.trim(), index }
  })
}
