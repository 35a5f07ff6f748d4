"""The page's types of the WebSocket messages are those of `core.messages`."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from core.errors import CloseCode

WEB = Path(__file__).resolve().parents[3] / "web"


@pytest.fixture(name="generator")
def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_types", WEB / "generate_types.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_types_are_what_the_generator_writes_now(generator: ModuleType) -> None:
    written = (WEB / "src" / "lib" / "protocol.ts").read_text("utf-8")
    assert written == generator.render(), "run: python web/generate_types.py"


def test_a_message_that_changes_changes_the_types(
    generator: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = generator.render()
    from core import messages

    class Reconnect(messages.ServerMessage):
        """The server drains."""

        after_seconds: float

    union = messages.AnyServerMessage
    members = [Reconnect if m.__name__ == "Reconnect" else m for m in union.__args__]
    changed = members[0]
    for member in members[1:]:
        changed |= member
    monkeypatch.setattr(messages, "AnyServerMessage", changed)
    after = generator.render()
    assert "after_ms: number" in before
    assert "after_ms" not in after
    assert "after_seconds: number" in after


@pytest.mark.parametrize(
    ("schema", "typescript"),
    [
        ({}, "unknown"),
        ({"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}}, "(string | null)[]"),
        ({"type": "object"}, "Record<string, unknown>"),
        ({"enum": ["a", "b"]}, '"a" | "b"'),
        ({"$ref": "NodeView"}, "NodeView"),
    ],
)
def test_schemas_read_as_typescript(
    generator: ModuleType, schema: dict[str, object], typescript: str
) -> None:
    assert generator._type(schema) == typescript


def test_the_page_calls_those_close_codes_final_that_the_server_does(generator: ModuleType) -> None:
    assert "FIRST_FINAL_CODE = 4500;" in generator.render()
    assert [code for code in CloseCode if code.final] == [code for code in CloseCode if code >= 4500]
