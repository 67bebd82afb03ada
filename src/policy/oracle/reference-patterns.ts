/**
 * `pathMatch` and `spiffeMatch` once more, by regular expressions, for Casbin to be asked with: a second opinion on the
 * matching in `patterns/`. What is no pattern matches nothing.
 */
export function pathMatchByRegExp(path: unknown, pattern: unknown): boolean {
  const [, rest] = /^(\/.*)$/s.exec(String(pattern)) ?? []
  if (rest === undefined || !isText(path) || !path.startsWith('/')) return false
  return new RegExp(`^${segmentsSource(rest)}$`).test(path)
}

export function spiffeMatchByRegExp(id: unknown, pattern: unknown): boolean {
  const [, domain, rest = ''] = /^spiffe:\/\/([^/]*)(\/.*)?$/s.exec(String(pattern)) ?? []
  if (domain === undefined || !isText(id)) return false
  const domainSource = domain === '*' ? '[^/]+' : escaped(domain)
  return new RegExp(`^spiffe://${domainSource}${segmentsSource(rest)}$`).test(id)
}

/** Of a text such as `/orders/{id}/**`, or of none. */
function segmentsSource(path: string): string {
  return path
    .split('/')
    .slice(1)
    .map((segment) => {
      if (segment === '**') return '(?:/[^]*)?'
      return segment === '*' || /^\{.*\}$/s.test(segment) ? '/[^/]+' : `/${escaped(segment)}`
    })
    .join('')
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}
