"""The page's types are those of `core.messages` and of the HTTP API's description."""

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
    assert generator.main(["--check"]) == 0, "run: python web/generate_types.py"


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


def test_an_operation_says_what_it_takes_and_gives(generator: ModuleType) -> None:
    api = generator.render_api()
    assert (
        '"PATCH /nodes/{node_id}": '
        "{ path: { node_id: string }; query: never; body: NodeChange; answer: NodeRecord; };"
    ) in api
    assert '"/metrics.json"' in api


def test_a_file_that_is_stale_is_named(
    generator: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generator, "render_api", lambda: "another")
    assert generator.main(["--check"]) == 1
    assert "web/src/lib/api.ts is stale" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("schema", "typescript"),
    [
        ({}, "unknown"),
        ({"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}}, "(string | null)[]"),
        ({"type": "object"}, "Record<string, unknown>"),
        ({"enum": ["a", "b"]}, '"a" | "b"'),
        ({"$ref": "NodeView"}, "NodeView"),
        ({"$ref": "#/components/schemas/NodeView"}, "NodeView"),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
        ({"type": ["null", "string"]}, "null | string"),
        ({"const": 1}, "1"),
    ],
)
def test_schemas_read_as_typescript(
    generator: ModuleType, schema: dict[str, object], typescript: str
) -> None:
    assert generator._type(schema) == typescript


def test_the_page_calls_those_close_codes_final_that_the_server_does(generator: ModuleType) -> None:
    assert "FIRST_FINAL_CODE = 4500;" in generator.render()
    assert [code for code in CloseCode if code.final] == [code for code in CloseCode if code >= 4500]
