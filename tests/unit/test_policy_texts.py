import pytest

from execlave_server.policy.texts import DEPTH_MAX, TEXT_BYTES_MAX, VALUES_MAX, TextSource
from policies import act


def texts(**more) -> dict[TextSource, str]:
    """What is read, by source."""
    return dict(act(**more).texts.items)


@pytest.mark.parametrize(
    ("more", "source"),
    [
        ({"input": "needle"}, TextSource.INPUT),
        ({"output": "needle"}, TextSource.OUTPUT),
        ({"output": {"deep": [["needle"]]}}, TextSource.OUTPUT),
        ({"tools": ("needle",)}, TextSource.TOOLS),
        ({"metadata": {"toolArguments": {"body": "needle"}}}, TextSource.METADATA),
        ({"metadata": {"toolInput": '{"body": "need\\u006ce"}'}}, TextSource.METADATA),
        ({"metadata": {"needle": 1}}, TextSource.METADATA),
        ({"metadata": {"messages": [{"content": [{"type": "text", "text": "needle"}]}]}}, TextSource.METADATA),
        ({"conversation_history": ({"role": "user", "content": "needle"},)}, TextSource.HISTORY),
        ({"conversation_history": ({"role": "assistant", "content": "needle"},)}, TextSource.OWN_HISTORY),
        ({"conversation_history": ("needle",)}, TextSource.HISTORY),
        ({"tool_outputs": ({"name": "t", "input": None, "output": "needle"},)}, TextSource.TOOL_OUTPUT),
        ({"tool_outputs": ({"name": "t", "output": {"rows": ["needle"]}},)}, TextSource.TOOL_OUTPUT),
        ({"tool_outputs": ({"name": "t", "input": {"q": "needle"}},)}, TextSource.TOOL_INPUT),
        ({"tool_outputs": ("needle",)}, TextSource.HISTORY),
    ],
)
def test_every_place_where_text_stands_is_read(more, source):
    """A word is found wherever an adapter may have put it, and its place is known."""
    assert "needle" in texts(**more)[source]


def test_text_behind_the_cut_of_the_input_is_read():
    """Adapters cut `input` at 4,000 characters; the full arguments stand in metadata."""
    full = "x" * 4_000 + "needle"

    assert "needle" in texts(input=full[:4_000], metadata={"toolArguments": {"text": full}})[TextSource.METADATA]


def test_numbers_as_long_as_a_card_are_read_as_text():
    """A card number may come as a number; a short number says nothing."""
    assert "4111111111111111" in texts(metadata={"card": 4111111111111111})[TextSource.METADATA]
    assert "4111" not in texts(metadata={"card": 4111})[TextSource.METADATA]


@pytest.mark.parametrize("letter", ["x", "é", "日", "🐨"])
def test_the_size_is_bounded_in_bytes(letter):
    """Texts are cut at 256 kB of UTF-8 in all, and that they were cut is known."""
    whole = act(input=letter * 1_000).texts
    cut = act(input=letter * TEXT_BYTES_MAX, metadata={"more": letter}).texts

    assert whole.complete
    assert not cut.complete
    assert sum(len(text.encode()) for _, text in cut.items) <= TEXT_BYTES_MAX


def test_exactly_the_limit_is_whole():
    """What just fits is read whole, one byte more is not."""
    assert act(input="x" * TEXT_BYTES_MAX).texts.complete
    assert not act(input="x" * (TEXT_BYTES_MAX + 1)).texts.complete


def nested(depth: int) -> dict:
    """An object in an object in an object."""
    inner: dict = {}
    for _ in range(depth):
        inner = {"in": inner}
    return inner


@pytest.mark.parametrize(
    "metadata",
    [
        {"list": ["x"] * VALUES_MAX},
        {"list": [1] * VALUES_MAX},
        nested(DEPTH_MAX + 2),
        {"deep": "[" * 10_000},
        {"text": "x" * TEXT_BYTES_MAX},
    ],
    ids=["strings", "numbers", "depth", "coded", "long"],
)
def test_the_walk_is_bounded(metadata):
    """Neither many values nor deep nesting takes long, and what was left out is known."""
    gathered = act(metadata=metadata).texts

    assert gathered.values <= VALUES_MAX + 10
    assert gathered.complete == (metadata.get("deep") is not None)


def test_texts_are_gathered_once():
    """Every policy reads the same gathering."""
    action = act()
    assert action.texts is action.texts
