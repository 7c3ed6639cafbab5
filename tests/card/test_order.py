"""What a task says to the writer of its card."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stepsize.card.order import Order
from stepsize.model import Identity, Request

TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1)


@given(TEXT, TEXT, st.integers(0, 9), st.none() | st.floats(0, 512), st.none() | st.integers(0, 2**50))
def test_an_order_comes_through_a_command_line_whole(
    flow: str, item: str, attempt: int, cpu: float | None, memory_bytes: int | None
) -> None:
    """In one argument without line breaks."""
    order = Order(
        identity=Identity(
            flow, "1", "train", "2", attempt, item=item, request=Request(cpu, memory_bytes), annotations={"rows": 5}
        ),
        pid=7,
        started_s=1.5,
        interval_s=1.0,
        refresh_s=5.0,
        datastore="local",
        metadata="local@/home/me",
        directory="/home/me/a b",
    )
    text = order.dumps()
    assert "\n" not in text
    assert Order.loads(text) == order
