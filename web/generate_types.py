"""Write `src/lib/protocol.ts`: the WebSocket protocol as TypeScript, from `core.messages`.

Run ``python web/generate_types.py`` after a change of the messages; a test compares the file
with what this module renders, and the type check of the page then shows what no longer fits.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "web" / "src" / "lib" / "protocol.ts"

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


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        return str(schema["$ref"])
    if "anyOf" in schema:
        return " | ".join(_type(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(_literal(value) for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        item = _type(schema.get("items", {}))
        return f"({item})[]" if " " in item else f"{item}[]"
    if kind == "object":
        return f"Record<string, {_type(schema.get('additionalProperties') or {})}>"
    return SCALARS[kind]


def _literal(value: object) -> str:
    return msgspec.json.encode(value).decode()


def main() -> None:
    """Write the file."""
    sys.path.insert(0, str(ROOT))
    TARGET.write_text(render(), "utf-8")


if __name__ == "__main__":
    main()
