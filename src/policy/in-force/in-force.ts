import type { RuleSet } from '../../decision/rule-set.ts'

/** Holds the rules by which requests are decided, or those of a candidate. Whoever decides reads them once per request. */
export class PolicyInForce {
  #rules: RuleSet | undefined

  /** Undefined until a usable policy has been loaded. */
  get rules(): RuleSet | undefined {
    return this.#rules
  }

  /** Puts other rules in force, all at once: a decision is by the old ones or by the new ones. */
  swap(rules: RuleSet): void {
    this.#rules = rules
  }

  /** Takes a candidate's rules away. */
  clear(): void {
    this.#rules = undefined
  }
}
