import { readFileSync } from 'node:fs'

/** One system call as strace saw it. `start` and `end` order all calls of all threads: the call took effect between them. */
export interface Call {
  readonly name: string
  readonly args: readonly Arg[]
  /** What it returned; negative where it failed or never returned. */
  readonly result: number
  readonly start: number
  /** Infinity where the process was ended inside the call. */
  readonly end: number
}

/** An argument: the bytes of a string, a number, or the text of anything else. */
export type Arg = Buffer | number | string

/** All that changes a file, its name, its place or what is durable of it. */
export const traced = [
  ...['open', 'openat', 'openat2', 'creat', 'close', 'dup', 'dup2', 'dup3', 'lseek', 'mmap'],
  ...['write', 'writev', 'pwrite64', 'pwritev', 'pwritev2', 'sendfile', 'copy_file_range', 'splice'],
  ...['ftruncate', 'truncate', 'fallocate', 'fsync', 'fdatasync', 'sync_file_range', 'sync', 'syncfs', 'msync'],
  ...['rename', 'renameat', 'renameat2', 'unlink', 'unlinkat', 'rmdir', 'mkdir', 'mkdirat'],
  ...['link', 'linkat', 'symlink', 'symlinkat', 'io_uring_setup'],
]

/** Arguments of strace for what `readTrace` reads: every byte, paths beside descriptors, all threads in one order. */
export function straceOptions(traceFile: string): string[] {
  const longestString = 64 * 1024 * 1024
  const options = ['-f', '--seccomp-bpf', '-q', '-xx', '-s', String(longestString)]
  return [...options, '-e', `trace=${traced.join(',')}`, '-e', 'signal=none', '-o', traceFile]
}

const whole = /^(\d+) +(\w+|\?{3})\((.*)\) += (-?\d+|\?)/s
const begun = /^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$/s
const resumed = /^(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+|\?)/s

/** Reads a trace, in the order in which calls were begun. Throws where a line cannot be read: a call left out is a crash left out. */
export function readTrace(file: string): Call[] {
  const open = new Map<string, Call>()
  const calls: Call[] = []
  for (const [start, line] of linesOf(file)) {
    const found = begun.exec(line)
    if (found !== null) {
      const [, thread = '', name = '', args = ''] = found
      const call = { name, args: splitArgs(args), result: -1, start, end: Infinity }
      open.set(thread, call)
      calls.push(call)
      continue
    }
    const rest = resumed.exec(line)
    if (rest !== null) {
      const [, thread = '', , args = '', result = ''] = rest
      const call = open.get(thread)
      if (call === undefined) throw new Error(`strace resumed a call that was not begun: ${line.slice(0, 200)}`)
      Object.assign(call, { args: [...call.args, ...splitArgs(args)], result: resultOf(result), end: start })
      open.delete(thread)
      continue
    }
    const all = whole.exec(line)
    if (all !== null) {
      const [, , name = '', args = '', result = ''] = all
      calls.push({ name, args: splitArgs(args), result: resultOf(result), start, end: start + 0.5 })
    } else if (!/^\d+ +(\+\+\+|---)/.test(line)) {
      throw new Error(`a line of strace cannot be read: ${line.slice(0, 200)}`)
    }
  }
  return calls
}

/** Lines with their numbers; the file may be larger than a string can be. */
function* linesOf(file: string): Generator<[number, string]> {
  const bytes = readFileSync(file)
  let number = 0
  for (let from = 0; from < bytes.length;) {
    const newline = bytes.indexOf(0x0a, from)
    const to = newline === -1 ? bytes.length : newline
    number += 1
    yield [number, bytes.toString('latin1', from, to)]
    from = to + 1
  }
}

function resultOf(text: string): number {
  return text === '?' ? -1 : Number(text)
}

/** Splits at commas outside strings, brackets and braces; strings are all hex, so they hold neither commas nor quotes. */
function splitArgs(text: string): Arg[] {
  const parts = text.match(/"[^"]*"(?:\.\.\.)?|\[(?:"[^"]*"|[^\]"])*\]|\{(?:"[^"]*"|[^}"])*\}|[^,"[{]+/g) ?? []
  return parts.map((part) => part.trim()).flatMap((part) => (part === '' ? [] : [argOf(part)]))
}

function argOf(part: string): Arg {
  if (part.startsWith('"')) return bytesOf(part)
  if (part.startsWith('[')) return Buffer.concat((part.match(/"[^"]*"(?:\.\.\.)?/g) ?? []).map(bytesOf))
  return /^-?\d+$/.test(part) ? Number(part) : part
}

function bytesOf(quoted: string): Buffer {
  if (quoted.endsWith('...')) throw new Error('strace cut a string short')
  return Buffer.from(quoted.slice(1, -1).replaceAll('\\x', ''), 'hex')
}
