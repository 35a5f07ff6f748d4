"""Write the contract with the server as TypeScript: `src/lib/protocol.ts` and `src/lib/api.ts`.

The first is the WebSocket protocol, from `core.messages`; the second is the HTTP API, from its
OpenAPI description. Run ``python web/generate_types.py`` after a change of either; with ``--check``
it only tells whether the files are what it would write. The type check of the page then shows
what no longer fits.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec

ROOT = Path(__file__).resolve().parent.parent
LIB = ROOT / "web" / "src" / "lib"
PROTOCOL = LIB / "protocol.ts"
API = LIB / "api.ts"
V1 = "/api/v1"

Schema = Mapping[str, Any]

SCALARS = {
    "integer": "number",
    "number": "number",
    "string": "string",
    "boolean": "boolean",
    "null": "null",
    None: "unknown",
}

HEADER = """\
// The WebSocket protocol v1, rendered from core/messages.py by web/generate_types.py. Do not edit.
"""

API_HEADER = """\
// The HTTP API v1, rendered from its OpenAPI description by web/generate_types.py. Do not edit.
"""


def render() -> str:
    """The text of `protocol.ts`."""
    from core import messages  # noqa: PLC0415 - works from a checkout too, once `main` has set the path
    from core.errors import CloseCode  # noqa: PLC0415 - as above

    client = get_args(messages.AnyClientMessage)
    server = get_args(messages.AnyServerMessage)
    types = [*client, *server, messages.Overview, messages.NetworkSummary, messages.EpochClosed]
    _, components = msgspec.json.schema_components(types, ref_template="{name}")
    blocks = [
        HEADER,
        _constants(
            {
                "JSON_SUBPROTOCOL": messages.JSON_SUBPROTOCOL,
                "BEARER_PREFIX": messages.BEARER_PREFIX,
                "NODES_SHOWN": messages.NODES_SHOWN,
            }
        ),
        _close_codes({code.name: code.value for code in CloseCode}),
        *(_interface(name, schema) for name, schema in sorted(components.items())),
        _union("ClientMessage", client),
        _union("ServerMessage", server),
    ]
    return "\n".join(blocks)


def _constants(values: Mapping[str, Any]) -> str:
    return "".join(f"export const {name} = {_literal(value)};\n" for name, value in values.items())


def _close_codes(codes: Mapping[str, int]) -> str:
    lines = "".join(f"  {name}: {value},\n" for name, value in codes.items())
    return (
        f"export const CloseCode = {{\n{lines}}} as const;\n\n"
        "/** Close codes from here on mean: do not come back like this. */\n"
        "export const FIRST_FINAL_CODE = 4500;\n"
    )


def _interface(name: str, schema: Schema) -> str:
    required = set(schema.get("required", ()))
    lines = [*_comment(schema.get("description", "")), f"export interface {name} {{"]
    for key, field in schema.get("properties", {}).items():
        lines.append(f"  {key}{'' if key in required else '?'}: {_type(field)};")
    return "\n".join([*lines, "}", ""])


def _comment(text: str) -> Iterator[str]:
    lines = [line.strip() for line in text.strip().splitlines()]
    if len(lines) == 1:
        yield f"/** {lines[0]} */"
    elif lines:
        yield "/**"
        yield from (f" * {line}".rstrip() for line in lines)
        yield " */"


def _union(name: str, members: Sequence[type]) -> str:
    return f"export type {name} =" + "".join(f"\n  | {m.__name__}" for m in members) + ";\n"


def render_api() -> str:
    """The text of `api.ts`: the schemas, and an entry of `Api` for each operation."""
    document = _description()
    schemas = document["components"]["schemas"]
    paths = document["paths"]
    outside = [path for path in paths if not path.startswith(V1)]
    operations = [
        _operation(f"{method.upper()} {path.removeprefix(V1)}", operation)
        for path, item in sorted(paths.items())
        for method, operation in item.items()
    ]
    comment = "/** What an endpoint takes and gives; `never` stands for nothing. */\n"
    return "\n".join(
        [
            API_HEADER,
            f"/** Endpoints that are not below `{V1}`. */\n"
            f"export const OUTSIDE: readonly string[] = {_literal(sorted(outside))};\n",
            *(_interface(name, schema) for name, schema in sorted(schemas.items())),
            f"{comment}export interface Api {{\n{''.join(operations)}}}\n",
        ]
    )


def _description() -> Mapping[str, Any]:
    from core.http.app import Injected, make_api  # noqa: PLC0415 - works from a checkout too
    from core.http.openapi import describe  # noqa: PLC0415 - as above

    served = ("refresh_cookie", "device_cookie", "client", "operations", "description", "clock")
    services = dict.fromkeys([*Injected.__struct_fields__, *served])
    return describe(make_api(services, "", 0))


def _operation(name: str, operation: Schema) -> str:
    parameters = operation.get("parameters", ())
    parts = {
        "path": _fields(each for each in parameters if each["in"] == "path"),
        "query": _fields(each for each in parameters if each["in"] == "query"),
        "body": _content(operation.get("requestBody")),
        "answer": _content(next((r for s, r in operation["responses"].items() if s[0] == "2"), None)),
    }
    shown = " ".join(f"{key}: {value};" for key, value in parts.items())
    return f"  {_literal(name)}: {{ {shown} }};\n"


def _fields(parameters: Iterable[Schema]) -> str:
    shown = [
        f"{each['name']}{'' if each.get('required') else '?'}: {_type(each['schema'])}" for each in parameters
    ]
    return f"{{ {'; '.join(shown)} }}" if shown else "never"


def _content(holder: Schema | None) -> str:
    content = next(iter((holder or {}).get("content", {}).values()), None)
    return _type(content["schema"]) if content else "never"


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return " | ".join(dict.fromkeys(_type(option) for option in options))
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
    if values:
        return " | ".join(_literal(value) for value in values)
    kind = schema.get("type")
    return " | ".join(_plain(each, schema) for each in (kind if isinstance(kind, list) else [kind]))


def _plain(kind: str | None, schema: Schema) -> str:
    if kind == "array":
        item = _type(schema.get("items", {}))
        return f"({item})[]" if " " in item else f"{item}[]"
    if kind == "object":
        return f"Record<string, {_type(schema.get('additionalProperties') or {})}>"
    return SCALARS[kind]


def _literal(value: object) -> str:
    return msgspec.json.encode(value).decode()


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with ``--check`` name those that are stale; the exit status."""
    sys.path.insert(0, str(ROOT))
    stale = False
    for path, text in ((PROTOCOL, render()), (API, render_api())):
        if "--check" not in arguments:
            path.write_text(text, "utf-8")
        elif not path.exists() or path.read_text("utf-8") != text:
            sys.stderr.write(f"{path.relative_to(ROOT)} is stale; run: python web/generate_types.py\n")
            stale = True
    return int(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
