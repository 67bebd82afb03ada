import { setFlagsFromString } from 'node:v8'

/**
 * Has all threads collect their garbage once the old objects take 60 % more than after the last time. V8 looks at the machine's
 * memory, and would let a small heap grow several times over. The space of young objects is bounded from outside: `--max-semi-space-size`
 * is too late for a thread that runs (docs/running.md).
 */
export function boundMemory(): void {
  setFlagsFromString('--heap-growing-percent=60')
}
