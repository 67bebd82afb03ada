import descriptors from 'google-protobuf/google/protobuf/descriptor_pb.js'
import {
  loadSync,
  type MessageTypeDefinition,
  type MethodDefinition,
  type PackageDefinition,
  type ServiceDefinition,
} from '@grpc/proto-loader'
import { join } from 'node:path'

const { FieldDescriptorProto, FileDescriptorProto } = descriptors
type FieldDescriptor = descriptors.FieldDescriptorProto
type EnumDescriptor = descriptors.EnumDescriptorProto
type MessageDescriptor = descriptors.DescriptorProto
type ServiceDescriptor = descriptors.ServiceDescriptorProto

/** As docs/wire.md has them: what a decoded message looks like depends on them. */
export const loaderOptions = {
  keepCase: true,
  longs: Number,
  enums: String,
  defaults: false,
  oneofs: true,
  includeDirs: [join(import.meta.dirname, '../../proto')],
}

export interface Field {
  readonly number: number
  /** `string`, `int64`, … or `message a.B`, `enum a.B`, or `map<string, …>`. */
  readonly type: string
  readonly repeated: boolean
  readonly oneof: string | null
}

export interface Method {
  readonly input: string
  readonly output: string
  readonly clientStreaming: boolean
  readonly serverStreaming: boolean
}

/** Everything by full name. */
export interface Schema {
  readonly messages: Readonly<Record<string, Readonly<Record<string, Field>>>>
  readonly enums: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly services: Readonly<Record<string, Readonly<Record<string, Method>>>>
}

export function loadOurs(): PackageDefinition {
  return loadSync(['envoy/service/auth/v3/external_auth.proto', 'envoy/service/accesslog/v3/als.proto'], loaderOptions)
}

export function methodOf<Input extends object, Output extends object>(
  loaded: PackageDefinition,
  service: string,
  method: string,
): MethodDefinition<object, object, Input, Output> {
  const found = (loaded[service] as ServiceDefinition)[method]
  if (found === undefined) throw new Error(`no method ${service}/${method}`)
  return found as MethodDefinition<object, object, Input, Output>
}

/** The loaded definitions as their own descriptors tell them, read by another protobuf implementation. */
export function schemaOf(loaded: PackageDefinition): Schema {
  const [any] = Object.values(loaded).filter((definition) => 'fileDescriptorProtos' in definition)
  const files = (any as MessageTypeDefinition<object, object>).fileDescriptorProtos
  const named: Named = { messages: new Map(), enums: new Map(), services: new Map() }
  for (const bytes of files) collectFile(FileDescriptorProto.deserializeBinary(bytes), named)
  return {
    messages: mapValues(withoutMapEntries(named.messages), (message, name) => fieldsOf(message, name, named)),
    enums: mapValues(named.enums, valuesOf),
    services: mapValues(named.services, methodsOf),
  }
}

interface Named {
  readonly messages: Map<string, MessageDescriptor>
  readonly enums: Map<string, EnumDescriptor>
  readonly services: Map<string, ServiceDescriptor>
}

function collectFile(file: descriptors.FileDescriptorProto, into: Named): void {
  const scope = file.getPackage() ?? ''
  for (const message of file.getMessageTypeList()) collectMessage(message, scope, into)
  for (const type of file.getEnumTypeList()) into.enums.set(`${scope}.${type.getName() ?? ''}`, type)
  for (const service of file.getServiceList()) into.services.set(`${scope}.${service.getName() ?? ''}`, service)
}

function collectMessage(message: MessageDescriptor, scope: string, into: Named): void {
  const name = `${scope}.${message.getName() ?? ''}`
  into.messages.set(name, message)
  for (const nested of message.getNestedTypeList()) collectMessage(nested, name, into)
  for (const type of message.getEnumTypeList()) into.enums.set(`${name}.${type.getName() ?? ''}`, type)
}

function withoutMapEntries(messages: Map<string, MessageDescriptor>): Map<string, MessageDescriptor> {
  return new Map([...messages].filter(([, message]) => message.getOptions()?.getMapEntry() !== true))
}

function fieldsOf(message: MessageDescriptor, name: string, named: Named): Record<string, Field> {
  const oneofs = message.getOneofDeclList()
  const fields = message.getFieldList().map((field): [string, Field] => {
    const type = typeOf(field, name, named)
    const repeated = field.getLabel() === FieldDescriptorProto.Label.LABEL_REPEATED && !type.startsWith('map<')
    const oneof = field.hasOneofIndex() ? (oneofs[field.getOneofIndex() ?? -1]?.getName() ?? null) : null
    return [field.getName() ?? '', { number: field.getNumber() ?? 0, type, repeated, oneof }]
  })
  return Object.fromEntries(fields)
}

function typeOf(field: FieldDescriptor, scope: string, named: Named): string {
  const wanted = field.getTypeName() ?? ''
  const kinds = Object.entries(FieldDescriptorProto.Type)
  const kind = kinds.find(([, number]) => number === field.getType())?.[0] ?? ''
  if (kind === 'TYPE_ENUM') return `enum ${resolve(wanted, scope, named.enums)}`
  if (kind !== 'TYPE_MESSAGE') return kind.replace('TYPE_', '').toLowerCase()
  const type = resolve(wanted, scope, named.messages)
  const message = named.messages.get(type)
  return message?.getOptions()?.getMapEntry() === true ? mapTypeOf(message, type, named) : `message ${type}`
}

function mapTypeOf(entry: MessageDescriptor, name: string, named: Named): string {
  return `map<${entry
    .getFieldList()
    .map((field) => typeOf(field, name, named))
    .join(', ')}>`
}

/** A name in a descriptor of the loader is relative: it counts from the innermost scope that has it. */
function resolve(wanted: string, scope: string, known: ReadonlyMap<string, unknown>): string {
  if (wanted.startsWith('.')) return wanted.slice(1)
  const full = scope === '' ? wanted : `${scope}.${wanted}`
  if (known.has(full)) return full
  if (scope === '') throw new Error(`no definition of ${wanted}`)
  return resolve(wanted, scope.split('.').slice(0, -1).join('.'), known)
}

function valuesOf(type: EnumDescriptor): Record<string, number> {
  return Object.fromEntries(type.getValueList().map((value) => [value.getName() ?? '', value.getNumber() ?? 0]))
}

function methodsOf(service: ServiceDescriptor): Record<string, Method> {
  const methods = service.getMethodList().map((method): [string, Method] => [
    method.getName() ?? '',
    {
      input: (method.getInputType() ?? '').replace(/^\./, ''),
      output: (method.getOutputType() ?? '').replace(/^\./, ''),
      clientStreaming: method.getClientStreaming() ?? false,
      serverStreaming: method.getServerStreaming() ?? false,
    },
  ])
  return Object.fromEntries(methods)
}

function mapValues<From, To>(
  values: ReadonlyMap<string, From>,
  change: (value: From, name: string) => To,
): Record<string, To> {
  return Object.fromEntries([...values].map(([name, value]) => [name, change(value, name)]))
}
