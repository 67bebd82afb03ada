import type { PolicyFunctionName } from '../patterns/functions.ts'

/** A text that a pattern should match; not all of a regular expression or glob is understood. `word` fills the wildcards. */
export function instanceOf(name: PolicyFunctionName, pattern: string, word: string): string {
  switch (name) {
    case 'pathMatch':
    case 'spiffeMatch':
      return pattern.replace(/\/\*\*$/, `/${word}/${word}`).replace(/\*|\{[^/{}]+\}/g, word)
    case 'keyMatch':
    case 'keyGet':
      return pattern.replace(/\*.*$/s, word)
    case 'keyMatch2':
    case 'keyGet2':
      return pattern.replace(/:[^/]+/g, word).replaceAll('*', word)
    case 'keyMatch3':
    case 'keyMatch4':
    case 'keyMatch5':
      return pattern.replace(/\{[^/]+?\}/g, word).replaceAll('*', word)
    case 'ipMatch':
      return pattern.replace(/\/.*$/, '')
    case 'globMatch':
      return pattern
        .replace(/\{([^,}]*)[^}]*\}/g, '$1')
        .replaceAll('**', `${word}/${word}`)
        .replaceAll('*', word)
        .replaceAll('?', 'x')
    case 'regexMatch':
      return ofRegex(pattern, word)
  }
}

/** Takes the first alternative of each group, and one of each repetition. */
function ofRegex(pattern: string, word: string): string {
  let text = pattern.replace(/\\([^dDsSwWbB])/g, (_match, letter: string) => `\0${String(letter.charCodeAt(0))}\0`)
  for (let before = ''; text !== before;) {
    before = text
    text = text.replace(/\((?:\?:)?([^()|]*)(?:\|[^()]*)?\)[*+?]?/g, '$1')
  }
  return text
    .replace(/^([^|]*)\|.*$/s, '$1')
    .replace(/(?:\[\^[^\]]*\]|\.|\\w)[*+?]?/g, word)
    .replace(/\[(.)[^\]]*\]([*+?])?/g, '$1')
    .replace(/\\d/g, '1')
    .replace(/\\[bB]|[*+?^$]|\{[\d,]*\}/g, '')
    .replace(/\0(\d+)\0/g, (_match, code: string) => String.fromCharCode(Number(code)))
}
