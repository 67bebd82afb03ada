import { readFileSync } from 'node:fs'

/** One row of a table: the text of its cells. */
export type Row = readonly string[]

/** The text of a page below a heading, up to the next heading of the same or a higher level. */
export function section(page: string, heading: string): string {
  const lines = readFileSync(page, 'utf8').split('\n')
  const from = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, '') === heading)
  if (from === -1) throw new Error(`${page} has no heading "${heading}"`)
  const level = levelOf(lines[from])
  const rest = lines.slice(from + 1)
  const to = rest.findIndex((line) => levelOf(line) > 0 && levelOf(line) <= level)
  return rest.slice(0, to === -1 ? rest.length : to).join('\n')
}

/** The rows of all tables in a text, without their heads. */
export function tableRows(text: string): readonly Row[] {
  const lines = text.split('\n')
  return lines.flatMap((line, index) => {
    const head = isRule(lines[index + 1])
    return line.startsWith('|') && !isRule(line) && !head ? [cells(line)] : []
  })
}

/** What stands in backticks in a text. */
export function codeIn(text: string): readonly string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '')
}

function levelOf(line: string | undefined): number {
  return /^(#+) /.exec(line ?? '')?.[1]?.length ?? 0
}

function isRule(line: string | undefined): boolean {
  return /^\|[-| :]+\|$/.test(line ?? '')
}

function cells(line: string): Row {
  return line
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim().replaceAll('\\|', '|'))
}
