/** A value of a line, with the index of its first character: of the quote, where it stands in quotes. */
export interface Field {
  readonly value: string
  readonly index: number
}

export type LineOutcome =
  | { readonly ok: true; readonly fields: readonly Field[] }
  /** `index` is that of the character at fault. */
  | { readonly ok: false; readonly message: string; readonly index: number }

/**
 * Splits a line in Casbin's dialect of CSV: values are separated by commas and trimmed, double quotes stand around values
 * that hold commas (a quote among them is doubled), and commas inside parentheses do not separate. Stricter than Casbin in one
 * thing: a stray quote is a problem and not text. Linear in the length of the line.
 */
export function splitLine(text: string): LineOutcome {
  const fields: Field[] = []
  for (let at = 0; ;) {
    const start = skipBlanks(text, at)
    const field = text[start] === '"' ? quotedField(text, start) : plainField(text, start)
    if (!field.ok) return field
    fields.push({ value: field.value, index: start })
    if (field.end >= text.length) return joinParentheses(fields)
    at = field.end + 1
  }
}

type FieldOutcome =
  | { readonly ok: true; readonly value: string; /** Index of the comma behind it. */ readonly end: number }
  | Extract<LineOutcome, { ok: false }>

function plainField(text: string, start: number): FieldOutcome {
  const comma = text.indexOf(',', start)
  const end = comma === -1 ? text.length : comma
  const value = text.slice(start, end)
  const quote = value.indexOf('"')
  if (quote === -1) return { ok: true, value: value.trim(), end }
  return stray(start + quote, 'a quote inside a value; put quotes around the whole value and double the ones in it')
}

function quotedField(text: string, start: number): FieldOutcome {
  let value = ''
  for (let from = start + 1; ;) {
    const quote = text.indexOf('"', from)
    if (quote === -1) return stray(start, 'the quote is not closed on this line')
    value += text.slice(from, quote)
    if (text[quote + 1] !== '"') {
      const end = skipBlanks(text, quote + 1)
      if (end < text.length && text[end] !== ',') return stray(end, 'text after the closing quote; expected a comma')
      return { ok: true, value: value.trim(), end }
    }
    value += '"'
    from = quote + 2
  }
}

function stray(index: number, message: string): FieldOutcome {
  return { ok: false, message, index }
}

function skipBlanks(text: string, from: number): number {
  let at = from
  while (text[at] === ' ' || text[at] === '\t') at += 1
  return at
}

/** Casbin joins the fields of which the first opens a parenthesis that a later one closes. */
function joinParentheses(fields: readonly Field[]): LineOutcome {
  if (!fields.some(({ value }) => /[()]/.test(value))) return { ok: true, fields }
  const joined: Field[] = []
  let open = 0
  let parts: string[] = []
  let index = 0
  for (const field of fields) {
    if (parts.length === 0) index = field.index
    open += surplus(field.value)
    parts.push(field.value)
    if (open !== 0) continue
    joined.push({ value: parts.join(','), index })
    parts = []
  }
  if (open === 0) return { ok: true, fields: joined }
  return { ok: false, message: 'the parentheses of a value do not match', index }
}

/** How many parentheses a value opens that it does not close. */
function surplus(value: string): number {
  let open = 0
  for (const [parenthesis] of value.matchAll(/[()]/g)) open += parenthesis === '(' ? 1 : -1
  return open
}
