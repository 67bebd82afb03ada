import fc from 'fast-check'

/** How long to fuzz: a short form with every test run, a long one with `COUNTERSIGN_FUZZ_RUNS=100000 npx jest test/fuzz`. */
export const runs = Number(process.env['COUNTERSIGN_FUZZ_RUNS'] ?? 400)

/** Another one each time, named in the titles; `COUNTERSIGN_FUZZ_SEED` repeats a run. */
export const seed = Number(process.env['COUNTERSIGN_FUZZ_SEED'] ?? Date.now() % 2 ** 31)

/** Far more than it takes; what hangs is ended by it. */
export const timeoutMs = 60_000 + runs * 100

type Mutation = (bytes: Buffer) => Buffer

const place = fc.double({ min: 0, max: 1, noNaN: true })
const few = fc.nat(12)

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.tuple(place, fc.nat(7)).map(([at, bit]) => (bytes: Buffer) => {
    const copy = Buffer.from(bytes)
    const index = Math.min(copy.length - 1, Math.floor(at * copy.length))
    if (index >= 0) copy.writeUInt8(copy.readUInt8(index) ^ (1 << bit), index)
    return copy
  }),
  fc.tuple(place, few, fc.uint8Array({ maxLength: 12 })).map(([at, removed, added]) => (bytes: Buffer) => {
    const index = Math.floor(at * bytes.length)
    return Buffer.concat([bytes.subarray(0, index), added, bytes.subarray(index + removed)])
  }),
  fc.tuple(place, fc.nat(200)).map(([at, length]) => (bytes: Buffer) => {
    const index = Math.floor(at * bytes.length)
    return Buffer.concat([bytes.subarray(0, index + length), bytes.subarray(index)])
  }),
  place.map((at) => (bytes: Buffer) => bytes.subarray(0, Math.floor(at * bytes.length))),
)

/** Encoded messages, most of them spoiled a little, and bytes that never were a message. */
export function spoiled<Message>(
  messages: fc.Arbitrary<Message>,
  encode: (message: Message) => Buffer,
): fc.Arbitrary<Buffer> {
  const mutated = fc
    .tuple(messages.map(encode), fc.array(mutation, { maxLength: 4 }))
    .map(([bytes, mutations]) => mutations.reduce((sofar, mutate) => mutate(sofar), bytes))
  const random = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))
  return fc.oneof({ weight: 9, arbitrary: mutated }, { weight: 1, arbitrary: random })
}
