"""Holds a JSON value against a JSON Schema: the keywords that gateway/schemas.py uses, and no others."""

from __future__ import annotations

from typing import Any

from gateway.schemas import COMPONENTS

_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_KNOWN = {
    "type", "properties", "required", "additionalProperties", "items", "enum", "anyOf", "minimum", "maximum",
    "maxLength", "maxItems", "format", "description", "example", "$ref",
}  # fmt: skip


def problems(value: Any, schema: dict[str, Any], path: str = "$") -> list[str]:
    """Everything in which a value departs from a schema."""
    unknown = set(schema) - _KNOWN
    if unknown:
        return [f"{path}: this check does not know {sorted(unknown)}"]
    if "$ref" in schema:
        return problems(value, COMPONENTS[schema["$ref"].rsplit("/", 1)[1]], path)
    if "anyOf" in schema:
        tried = [problems(value, option, path) for option in schema["anyOf"]]
        return [] if [] in tried else [f"{path}: no option fits: {tried}"]
    kind = schema["type"]
    if not isinstance(value, _KINDS[kind]) or (isinstance(value, bool) and kind in ("integer", "number")):
        return [f"{path}: {type(value).__name__} is no {kind}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{path}: {value!r} is none of {schema['enum']}")
    if "minimum" in schema and value < schema["minimum"]:
        found.append(f"{path}: {value} is below {schema['minimum']}")
    if "maximum" in schema and value > schema["maximum"]:
        found.append(f"{path}: {value} is above {schema['maximum']}")
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        found.append(f"{path}: longer than {schema['maxLength']}")
    if kind == "array":
        for index, item in enumerate(value):
            found += problems(item, schema["items"], f"{path}[{index}]")
    if kind == "object":
        properties = schema.get("properties", {})
        found += [f"{path}.{name} is missing" for name in schema.get("required", ()) if name not in value]
        rest = schema.get("additionalProperties", True)
        for name, item in value.items():
            if name in properties:
                found += problems(item, properties[name], f"{path}.{name}")
            elif rest is False:
                found.append(f"{path}.{name} is not in the schema")
            elif isinstance(rest, dict):
                found += problems(item, rest, f"{path}.{name}")
    return found
