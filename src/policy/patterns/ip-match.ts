import { isIP } from 'node:net'

/** What is wrong with an address or CIDR, if anything. */
export function ipProblem(pattern: string): string | undefined {
  return readNetwork(pattern) === undefined ? 'it is neither an IP address nor a CIDR' : undefined
}

/** `ipMatch`: whether the value is an address of the network. False for what is no address, and for the other family. */
export function compileIpMatch(pattern: string): (value: string) => boolean {
  const network = readNetwork(pattern)
  if (network === undefined) return () => false
  const { words, bits } = network
  return (value) => {
    const found = addressWords(value)
    return found?.length === words.length && sameBits(found, words, bits)
  }
}

function readNetwork(pattern: string): { words: string; bits: number } | undefined {
  const [address = '', length, more] = pattern.split('/')
  const words = addressWords(address)
  if (words === undefined || more !== undefined) return undefined
  const bits = length === undefined ? words.length * 16 : /^\d{1,3}$/.test(length) ? Number(length) : Infinity
  return bits <= words.length * 16 ? { words, bits } : undefined
}

/** The 16-bit words of an address as the characters of a text, which takes less room than a list: 2 or 8 of them. */
function addressWords(address: string): string | undefined {
  const family = isIP(address)
  if (family === 4) return wordsOfIpv4(address)
  // An address with a zone is one of this machine alone.
  return family === 6 && !address.includes('%') ? wordsOfIpv6(address) : undefined
}

function wordsOfIpv4(address: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number)
  return String.fromCharCode(a * 256 + b, c * 256 + d)
}

function wordsOfIpv6(address: string): string {
  const [before = '', after] = address.split('::')
  const [head, tail] = [wordsOfPart(before), wordsOfPart(after ?? '')]
  return head + '\0'.repeat(8 - head.length - tail.length) + tail
}

function wordsOfPart(part: string): string {
  if (part === '') return ''
  return part
    .split(':')
    .map((group) => (group.includes('.') ? wordsOfIpv4(group) : String.fromCharCode(parseInt(group, 16))))
    .join('')
}

function sameBits(a: string, b: string, bits: number): boolean {
  const whole = bits >> 4
  for (let index = 0; index < whole; index += 1) if (a.charCodeAt(index) !== b.charCodeAt(index)) return false
  const left = bits & 15
  return left === 0 || (a.charCodeAt(whole) ^ b.charCodeAt(whole)) >> (16 - left) === 0
}
