import { firstText, parseGlob, withoutFirstStar } from './glob-syntax.ts'
import { RegexDialect } from './regex.ts'
import type { Segment } from './segments.ts'

const regexes = new RegexDialect(parseGlob)
const [slash, star, dot] = [47, 42, 46]

export function globProblem(pattern: string): string | undefined {
  return isClean(withoutFirstStar(pattern)) ? undefined : regexes.problem(pattern)
}

/** `globMatch`: minimatch with its default options, and Casbin's change to globs that begin with `*` and a slash. */
export function compileGlobMatch(pattern: string): (value: string) => boolean {
  const glob = withoutFirstStar(pattern)
  if (isClean(glob)) return (value) => matchClean(glob, value)
  const expression = regexes.expression(pattern)
  return (value) => expression.test(value)
}

export function globUsesRegex(pattern: string): boolean {
  return !isClean(withoutFirstStar(pattern))
}

/** Only the first part is known: several slashes of a value count as one, and its parts are not where they seem to be. */
export function globPrefix(pattern: string): readonly Segment[] {
  const glob = withoutFirstStar(pattern)
  const first = isClean(glob)
    ? glob.slice(0, segmentEnd(glob, 0))
    : parseGlob(pattern).ok
      ? firstText(pattern)
      : undefined
  return first === undefined || first === '*' ? [{ kind: 'rest' }] : [{ kind: 'text', text: first }, { kind: 'rest' }]
}

/** Whether a glob is made of whole segments alone: text, `*`, and a final `**` behind something else. */
function isClean(glob: string): boolean {
  if (/^[#!]|\/\/|[\\[\]{}()?]/.test(glob) || glob === '') return false
  const parts = glob.split('/')
  return parts.every((part, index) => {
    if (part === '**') return index > 0 && index === parts.length - 1
    return part === '*' || (!part.includes('*') && part !== '.' && part !== '..')
  })
}

/** A wildcard stands for no segment that is empty or begins with a dot, and several slashes of a value count as one. */
function matchClean(glob: string, value: string): boolean {
  let [at, from] = [0, 0]
  for (;;) {
    const wildcard = glob.charCodeAt(at) === star
    if (wildcard && glob.charCodeAt(at + 1) === star) return hasNoDots(value, from)
    const [end, valueEnd] = [segmentEnd(glob, at), segmentEnd(value, from)]
    const fits = wildcard
      ? valueEnd > from && value.charCodeAt(from) !== dot
      : end - at === valueEnd - from && sameText(glob, at, end, value, from)
    if (!fits) return false
    const next = slashesEnd(value, valueEnd)
    if (end === glob.length) return next === value.length
    if (next === valueEnd) return false
    at = end + 1
    from = next
  }
}

function segmentEnd(text: string, from: number): number {
  const end = text.indexOf('/', from)
  return end === -1 ? text.length : end
}

function slashesEnd(text: string, from: number): number {
  let at = from
  while (at < text.length && text.charCodeAt(at) === slash) at += 1
  return at
}

function sameText(glob: string, at: number, end: number, value: string, from: number): boolean {
  for (let index = at; index < end; index += 1) {
    if (glob.charCodeAt(index) !== value.charCodeAt(index - at + from)) return false
  }
  return true
}

/** Whether no segment from here on begins with a dot. */
function hasNoDots(value: string, from: number): boolean {
  return value.charCodeAt(from) !== dot && !value.includes('/.', from)
}
