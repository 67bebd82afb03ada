/** Breaks a text at its spaces so that no line is longer than `width`, where words are not longer themselves. */
export function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}

/** A text below and behind its heading: the first line behind `first`, all others as far in. */
export function hanging(first: string, text: string, width: number): string {
  const indent = ' '.repeat(first.length)
  return wrap(text, width - first.length)
    .map((line, index) => `${index === 0 ? first : indent}${line}`)
    .join('\n')
}

/** The first lines of a list, and how many more there are. */
export function firstOf(lines: readonly string[], most: number, indent = '  '): readonly string[] {
  if (lines.length <= most) return lines
  const more = (lines.length - most).toLocaleString('en')
  return [...lines.slice(0, most), `${indent}… and ${more} more (--json prints all)`]
}
