"""What the official Envoy modules (PyPI package xds-protos) say, as JSON. Reads JSON from stdin, by command:

describe  ["full.Name", ...]                     -> {"messages", "enums", "services"} of those that there are
sample    [{"type": "full.Name", "seed": 1}]     -> [{"bytes": base64, "value": {...}}], every official field filled
decode    [{"type": "full.Name", "bytes": ...}]  -> [{...}]

A value looks as proto-loader would show it (enums by name, oneofs with a member that names the one that is set), except
that bytes are base64. Members of google.protobuf messages have camelCase names, as protobufjs bundles them.
"""

import base64
import json
import random
import sys

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor
import envoy.service.accesslog.v3.als_pb2
import envoy.service.auth.v3.external_auth_pb2

POOL = descriptor_pool.Default()
TYPES = {
    getattr(FieldDescriptor, name): name[len("TYPE_"):].lower() for name in dir(FieldDescriptor) if name.startswith("TYPE_")
}
DEEPEST = 12


def name_of(field):
    return field.camelcase_name if field.file.package == "google.protobuf" else field.name


def is_map(field):
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def type_of(field):
    if is_map(field):
        key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        return f"map<{type_of(key)}, {type_of(value)}>"
    named = field.message_type or field.enum_type
    return f"{TYPES[field.type]} {named.full_name}" if named else TYPES[field.type]


def field_json(field):
    return {
        "number": field.number,
        "type": type_of(field),
        "repeated": field.is_repeated and not is_map(field),
        "oneof": field.containing_oneof.name if field.containing_oneof else None,
    }


def method_json(method):
    return {
        "input": method.input_type.full_name,
        "output": method.output_type.full_name,
        "clientStreaming": method.client_streaming,
        "serverStreaming": method.server_streaming,
    }


def describe(names):
    found = {"messages": {}, "enums": {}, "services": {}}
    for name in names:
        if message := find(POOL.FindMessageTypeByName, name):
            found["messages"][name] = {name_of(field): field_json(field) for field in message.fields}
        if enum := find(POOL.FindEnumTypeByName, name):
            found["enums"][name] = {value.name: value.number for value in enum.values}
        if service := find(POOL.FindServiceByName, name):
            found["services"][name] = {method.name: method_json(method) for method in service.methods}
    return found


def find(lookup, name):
    try:
        return lookup(name)
    except KeyError:
        return None


def new(type_name):
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(type_name))()


def sample(requests):
    return [sample_one(request["type"], random.Random(request["seed"])) for request in requests]


def sample_one(type_name, chance):
    message = new(type_name)
    fill(message, chance, 0)
    return {"bytes": base64.b64encode(message.SerializeToString()).decode(), "value": plain(message)}


def fill(message, chance, depth):
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof is None:
            fill_field(message, field, chance, depth)
    for oneof in message.DESCRIPTOR.oneofs:
        shallow = [field for field in oneof.fields if field.message_type is None]
        fill_field(message, chance.choice(shallow if depth > DEEPEST and shallow else oneof.fields), chance, depth)


def fill_field(message, field, chance, depth):
    if is_map(field):
        fill_map(getattr(message, field.name), field, chance, depth)
    elif field.message_type is not None:
        for part in [getattr(message, field.name).add() for _ in range(2)] if field.is_repeated else [getattr(message, field.name)]:
            part.SetInParent()
            fill(part, chance, depth + 1)
    elif field.is_repeated:
        getattr(message, field.name).extend([scalar(field, chance), scalar(field, chance)])
    else:
        setattr(message, field.name, scalar(field, chance))


def fill_map(target, field, chance, depth):
    value = field.message_type.fields_by_name["value"]
    for _ in range(2):
        key = f"key-{chance.randrange(1000)}"
        if value.message_type is None:
            target[key] = scalar(value, chance)
        else:
            fill(target[key], chance, depth + 1)


def scalar(field, chance):
    if field.enum_type is not None:
        return chance.choice([value.number for value in field.enum_type.values if value.number] or [0])
    return {
        "string": lambda: f"{field.name} é \U0001f512 {chance.randrange(1000)}",
        "bytes": lambda: bytes([0xFF, 0x00, chance.randrange(256)]),
        "bool": lambda: True,
        "double": lambda: chance.randrange(1, 1000) / 8,
        "int32": lambda: -chance.randrange(1, 2**31),
        "int64": lambda: -chance.randrange(1, 2**53),
        "uint32": lambda: chance.randrange(1, 2**32),
        "uint64": lambda: chance.randrange(1, 2**53),
    }[TYPES[field.type]]()


def plain(message):
    shown = {}
    for field, value in message.ListFields():
        shown[name_of(field)] = plain_field(field, value)
        if field.containing_oneof:
            shown[field.containing_oneof.name] = name_of(field)
    return shown


def plain_field(field, value):
    if is_map(field):
        of = field.message_type.fields_by_name["value"]
        return {key: plain_one(of, part) for key, part in value.items()}
    return [plain_one(field, part) for part in value] if field.is_repeated else plain_one(field, value)


def plain_one(field, value):
    if field.message_type is not None:
        return plain(value)
    if field.enum_type is not None:
        named = field.enum_type.values_by_number.get(value)
        return named.name if named else value
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def decode(requests):
    shown = []
    for request in requests:
        message = new(request["type"])
        message.ParseFromString(base64.b64decode(request["bytes"]))
        shown.append(plain(message))
    return shown


COMMANDS = {"describe": describe, "sample": sample, "decode": decode}

if __name__ == "__main__":
    json.dump(COMMANDS[sys.argv[1]](json.load(sys.stdin)), sys.stdout)
