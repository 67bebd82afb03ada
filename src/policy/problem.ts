import type { PolicyProblem } from '../audit/event-data.ts'

/** Everything for which a policy is refused; the closed list of `docs/policy.md`. */
export const policyProblems = {
  FOLDER_UNREADABLE: 'The policy folder does not exist or cannot be listed.',
  MODEL_MISSING: 'The folder holds no model.conf.',
  RULES_MISSING: 'The folder holds no *.csv file.',
  FILE_UNREADABLE: 'A file of the policy cannot be read, or is no regular file.',
  FILE_NOT_TEXT: 'A file of the policy is not UTF-8 text.',
  POLICY_TOO_LARGE: 'The files, a line or the matcher are larger than a policy may be.',
  MODEL_SYNTAX: 'A line of model.conf is neither a section, nor a definition, nor a comment.',
  SECTION_UNKNOWN: 'model.conf has a section that means nothing.',
  SECTION_REPEATED: 'model.conf has the same section twice.',
  DEFINITION_MISSING: 'model.conf lacks one of the definitions r, p, e and m.',
  DEFINITION_UNKNOWN: 'A section of model.conf has a definition that does not belong there.',
  DEFINITION_REPEATED: 'A definition stands twice, or there is a second request, policy, effect or matcher.',
  TOKEN_UNKNOWN: 'The request definition names a token that no request has.',
  COLUMN_INVALID: 'The request or policy definition has a name that is empty, misspelt or repeated.',
  ROLE_DEFINITION_INVALID: 'A role definition is neither "_, _" nor "_, _, _".',
  EFFECT_UNKNOWN: 'The policy effect is not one of those that Casbin knows.',
  EFFECT_ALLOWS_BY_DEFAULT: 'The policy effect would allow what no rule speaks of.',
  SUBJECT_PRIORITY_INVALID:
    'Subject priority needs a column order, or a subject in the role hierarchy, that is not there.',
  MATCHER_SYNTAX: 'The matcher cannot be parsed.',
  MATCHER_UNSUPPORTED: 'The matcher uses something that is not supported here.',
  MATCHER_NAME_UNKNOWN: 'The matcher reads a token or column that is not defined.',
  MATCHER_ATTRIBUTE: 'The matcher reads an attribute of a token; tokens are plain texts.',
  MATCHER_EVAL: 'The matcher uses eval(), which would run text of the rules as code.',
  MATCHER_CONSTANT: 'The matcher compares two constants, or a thing with itself.',
  MATCHER_WITHOUT_REQUEST: 'The matcher does not look at the request.',
  MATCHER_WITHOUT_RULE: 'The matcher does not look at the rules.',
  FUNCTION_UNKNOWN: 'The matcher calls a function that does not exist.',
  FUNCTION_ARGUMENTS: 'The matcher calls a function or role with the wrong arguments.',
  CSV_SYNTAX: 'A line of a CSV file cannot be parsed.',
  TYPE_UNKNOWN: 'A line begins with a policy type that the model does not define.',
  ROW_TOO_SHORT: 'A line has fewer values than its definition.',
  ROW_TOO_LONG: 'A line has more values than its definition.',
  COLUMN_EMPTY: 'A rule leaves a column empty that the matcher reads.',
  EFFECT_INVALID: 'The effect of a rule is neither allow nor deny.',
  DENY_WITHOUT_EFFECT: 'A rule denies, but the policy effect takes no notice of denials.',
  PRIORITY_INVALID: 'The priority of a rule is not a whole number.',
  ROLE_NAME_EMPTY: 'A role link has an empty name.',
  ROLES_TOO_MANY: 'The names of the role links have more roles together than can be held.',
  EXPRESSIONS_TOO_MANY: 'The rules have more regular expressions than a policy may have.',
  PATTERN_INVALID: 'A pattern is not valid for the function that reads it.',
  PATTERN_TOO_WIDE: 'A pattern fixes fewer segments before its first wildcard than a setting asks for.',
  TEST_INVALID: 'A test of tests.yaml cannot be read, or names a token or a rule that is not there.',
  TEST_FAILED: 'A test of tests.yaml gets another answer than it expects.',
  LAST_GOOD_DAMAGED: 'The copy that was kept of the last good policy is not what was kept.',
  LOAD_FAILED: 'Loading the policy failed inside; nothing is wrong with the files as far as is known.',
  CASBIN_REFUSED:
    'Casbin itself could not load the policy, could not be asked, or read it otherwise than it was checked.',
  CASBIN_DISAGREES: 'Casbin answers a request otherwise, and not by a difference that docs/casbin.md lists.',
  SIGNATURE_MISSING: 'A signature is required, and the folder holds no manifest.json.',
  SIGNATURE_INVALID: 'The manifest cannot be read, was altered, or is of other files.',
  SIGNER_UNKNOWN: 'A signature is required, and no listed key signed the manifest.',
} as const

/** Problems that are looked for: a policy with as many is beyond being read. */
export const maxProblems = 1_000

export type PolicyProblemCode = keyof typeof policyProblems

export type { PolicyProblem }

/** What is worth a look in a policy that is put in force all the same; the closed list of `docs/policy.md`. */
export const policyWarnings = {
  FILE_IGNORED: 'A file or folder looks like a part of the policy, and is none.',
  NO_RULES: 'The policy has no rule (p), so that everything is denied.',
  MATCHER_BRANCH_WITHOUT_RULE: 'An alternative of the matcher does not look at the rule.',
  MATCHER_BRANCH_WITHOUT_REQUEST: 'An alternative of the matcher does not look at the request.',
  RULE_REPEATED: 'A rule or role link stands twice; the second one does nothing.',
  RULE_SHADOWED: 'Another rule of the same effect covers everything that the rule covers.',
  RULE_UNREACHABLE: 'The rule can never settle a request.',
  VALUE_IMPOSSIBLE:
    'A value is only compared, and no request is expected to have it: a wildcard, a method in lower case, a malformed ID.',
  ROLE_WITHOUT_MEMBERS: 'Rules speak of a role that nobody has.',
  ROLE_WITHOUT_RULES: 'A role is given, but neither it nor a role of its own has a rule.',
  ROLE_CYCLE: 'Roles have each other, so that they are one role.',
  PATTERN_FIXES_NOTHING: 'A pattern begins with a wildcard.',
  PATTERN_STAR_INSIDE: 'A pattern of keyMatch has a star in its middle; everything after it is ignored.',
  PATTERN_DOT: 'A pattern of keyMatch2 to keyMatch5 has a dot, which stands for any character.',
  PATTERN_NAMES_ALL_EQUAL: 'A pattern of keyMatch4 has a name twice, so that all its names must be the same text.',
  PATTERN_UNANCHORED: 'A regular expression is also found in the middle of a value.',
  PATTERN_LARGE: 'A regular expression is large, so that each value takes long.',
  NOT_INDEXED: 'A condition of the matcher picks no rules, so that every request looks at many of them.',
  NOT_COMPARED: 'The policy could not be compared with node-casbin in time.',
  MANIFEST_UNVERIFIED: 'The folder holds a manifest that no listed key signed; the author is not shown.',
} as const

export type PolicyWarningCode = keyof typeof policyWarnings

/**
 * A problem whose code is one of the list. `line` and `column` are 1-based; `line` is null where the file or folder as a
 * whole is meant, `column` where no single place of the line is.
 */
export function problem(
  file: string,
  line: number | null,
  code: PolicyProblemCode,
  message: string,
  column: number | null = null,
): PolicyProblem {
  return { file, line, column, code, message: cut(message) }
}

/** A warning; it has the shape of a problem, and a code of the other list. */
export function warning(
  file: string,
  line: number | null,
  code: PolicyWarningCode,
  message: string,
  column: number | null = null,
): PolicyProblem {
  return { file, line, column, code, message: cut(message) }
}

/** What is allowed can be a long list. */
function cut(message: string): string {
  return message.length > 1_000 ? `${message.slice(0, 999)}…` : message
}

/** A value as a message shows it: quoted, and cut where it is long. */
export function shown(value: string): string {
  return JSON.stringify(value.length > 120 ? `${value.slice(0, 117)}…` : value)
}
