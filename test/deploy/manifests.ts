import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parse, parseAllDocuments } from 'yaml'

export const istioFolder = resolve(import.meta.dirname, '../../deploy/istio')

type Labels = Readonly<Record<string, string>>

/** A Kubernetes object, as far as these tests look at it. */
export interface Manifest {
  readonly kind: string
  readonly apiVersion: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Labels }
  readonly spec: unknown
}

export interface Kustomization {
  readonly resources: readonly string[]
  readonly images: readonly { name: string }[]
  readonly configMapGenerator?: readonly {
    name: string
    namespace: string
    files: readonly string[]
    options?: { disableNameSuffixHash?: boolean }
  }[]
}

export function textOf(file: string): string {
  return readFileSync(join(istioFolder, file), 'utf8')
}

/** Every file below the folder, relative to it. */
export function istioFiles(): readonly string[] {
  const entries = readdirSync(istioFolder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(istioFolder.length + 1))
}

/** All documents of a YAML file; throws where it does not parse, or says a key twice. */
export function documentsIn(file: string): readonly unknown[] {
  return parseAllDocuments(textOf(file), { strict: true, uniqueKeys: true }).map((document) => {
    const [problem] = [...document.errors, ...document.warnings]
    if (problem !== undefined) throw new Error(`${file}: ${problem.message}`)
    return document.toJS() as unknown
  })
}

export function kustomizationOf(folder: string): Kustomization {
  return parse(textOf(join(folder, 'kustomization.yaml'))) as Kustomization
}

/** All objects that a kustomization applies, but those that it generates. */
export function manifestsOf(folder: string): readonly Manifest[] {
  return kustomizationOf(folder).resources.flatMap((file) => documentsIn(join(folder, file)) as Manifest[])
}

/** The spec of the only object of a kind and a name. */
export function specOf(manifests: readonly Manifest[], kind: string, name: string): unknown {
  const found = manifests.filter((manifest) => manifest.kind === kind && manifest.metadata.name === name)
  if (found.length !== 1) throw new Error(`there are ${found.length} objects ${kind} ${name}`)
  return found[0]?.spec
}

/** The values of all members of a name, at any depth. */
export function membersNamed(part: unknown, name: string): unknown[] {
  if (part === null || typeof part !== 'object') return []
  return Object.entries(part).flatMap(([key, value]) => [
    ...(key === name ? [value as unknown] : []),
    ...membersNamed(value, name),
  ])
}
