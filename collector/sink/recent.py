"""Knows requests that were taken a moment ago, so that one sent twice is counted once.

What comes in: requests. What goes out: whether an equal one was among the last. Never does I/O.

A client whose acknowledgement got lost sends the same bytes again. Taken twice, its points would be stored twice, for
good, and count twice in the roll-up's sums of samples. The window counts requests, and one that comes again after the
window has passed is taken as new; the newest part of it is kept in the manifest, so that a crash between the two
arrivals changes nothing.
"""

from __future__ import annotations

from collections import deque
from hashlib import blake2b

_DIGEST_BYTES = 8
_WINDOW = 65_536
_KEPT = 4_096


class RecentRequests:
    """Digests of the last requests, oldest first."""

    def __init__(self, kept: bytes = b"") -> None:
        digests = [kept[start : start + _DIGEST_BYTES] for start in range(0, len(kept), _DIGEST_BYTES)]
        self._order: deque[bytes] = deque(digests)
        self._known = set(digests)

    def is_repeated(self, request: bytes) -> bool:
        """Whether an equal request is in the window; it is now."""
        digest = blake2b(request, digest_size=_DIGEST_BYTES).digest()
        if digest in self._known:
            return True
        self._known.add(digest)
        self._order.append(digest)
        if len(self._order) > _WINDOW:
            self._known.discard(self._order.popleft())
        return False

    def kept(self) -> bytes:
        """What belongs in the manifest."""
        newest = list(self._order)[-_KEPT:]
        return b"".join(newest)
