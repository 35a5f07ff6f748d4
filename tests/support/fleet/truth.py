"""What the nodes of a fleet really did, and the seconds they have earned by it.

The driver of a fleet writes a `Link` for each connection. Server and driver read one clock, so a moment of
the server is known to lie between what the driver did before it and what the server said after it: a
`Moment`. A second is *certain* if it is confirmed wherever in their bounds the moments lie, and *possible*
if it is somewhere. As the driver acts in the middle of seconds, the two are the same but for what the
script itself leaves open, as the last answers before a worker was killed.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from uuid import UUID

from msgspec import Struct, field

HOUR = 3600


class Moment(Struct, frozen=True):
    """A time between `earliest` and `latest`, both in milliseconds since the epoch."""

    earliest: int
    latest: int

    def __post_init__(self) -> None:
        if self.earliest > self.latest:
            raise ValueError(f"a moment ends before it begins: {self.earliest} > {self.latest}")


class Answer(Struct, frozen=True):
    """A right answer in time. Not `heard`: the connection was lost before the server said more."""

    at: Moment
    heard: bool = True


class Miss(Struct, frozen=True):
    """A challenge that was answered wrong, too late or not at all."""


class Link(Struct, kw_only=True):
    """One connection as its node saw it.

    `ours`: the end was the server's doing. A killed worker was heard of last at `kept_until` or later, and
    `ended` lasts until the others must have noticed, as that is when the end is taken to have been.
    """

    connection: UUID
    worker: str
    address: str
    opened: Moment
    marks: list[Answer | Miss] = field(default_factory=list)
    version: str = ""
    ended: Moment | None = None
    code: int | None = None
    ours: bool = False
    kept_until: int | None = None
    #: Bytes up and down of the beats that the server has taken.
    beats: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    #: Those of all beats; what a killed worker had taken without our hearing of it is among them.
    sent_up: int = 0
    sent_down: int = 0
    #: How many wrong, late, repeated and foreign answers and absurd beats were sent, and what was refused of
    #: them, by code.
    tricks: int = 0
    refused: dict[str, int] = field(default_factory=dict)


class Seconds(Struct, frozen=True):
    """Seconds since the epoch in which a node was confirmed: those that are certain, and all possible."""

    certain: frozenset[int]
    possible: frozenset[int]

    @property
    def exact(self) -> bool:
        """Whether nothing is left open."""
        return self.certain == self.possible

    def holds(self, stored: Iterable[int]) -> bool:
        """Whether `stored` can be the truth."""
        found = frozenset(stored)
        return self.certain <= found <= self.possible

    def difference(self, stored: Iterable[int]) -> str:
        """What is wrong with `stored`, in words."""
        found = frozenset(stored)
        return f"missing {spans(self.certain - found)}, too many {spans(found - self.possible)}"


class Visit(Struct, frozen=True, kw_only=True):
    """A session: connections with pauses no longer than the resume window."""

    links: list[Link]

    @property
    def first(self) -> Link:
        """The connection it began with."""
        return self.links[0]

    @property
    def last(self) -> Link:
        """The connection that was opened last."""
        return self.links[-1]


def seconds_of(links: Sequence[Link], window_ms: int) -> Seconds:
    """What a node has earned on `links`, which are in order of their opening.

    On each connection: from its opening to the last answer before a miss, and from the first answer after
    one to the last before the next; ends rounded down to whole seconds. And the time from the last answer of
    a connection that ended by the server's doing (from its opening, if it was not asked for one so far) to
    the opening of the next one, if that came within `window_ms` and has earned something from its opening
    on. A node that has failed a challenge and earned nothing since gets nothing for the pause.
    """
    certain: set[int] = set()
    possible: set[int] = set()
    for link in links:
        mine = _on(link)
        certain |= mine.certain
        possible |= mine.possible
    for link, after in pairwise(links):
        bridge = _between(link, after, window_ms)
        certain |= bridge.certain
        possible |= bridge.possible
    return Seconds(frozenset(certain), frozenset(possible))


def visits_of(links: Sequence[Link], window_ms: int) -> list[Visit]:
    """The sessions that `links`, in order of their opening, belong to."""
    visits: list[Visit] = []
    for link in links:
        if visits and (visits[-1].last.ended is None or _apart(visits[-1].last, link) <= window_ms):
            visits[-1].links.append(link)
        else:
            visits.append(Visit(links=[link]))
    return visits


def spans(seconds: Iterable[int]) -> str:
    """Seconds in short: "12-15, 20"."""
    found: list[list[int]] = []
    for second in sorted(seconds):
        if found and found[-1][1] == second - 1:
            found[-1][1] = second
        else:
            found.append([second, second])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found) or "none"


def _on(link: Link) -> Seconds:
    """What was earned on the connection itself."""
    certain: set[int] = set()
    possible: set[int] = set()
    begin: Moment | None = link.opened
    begin_kept = True
    for mark in link.marks:
        if isinstance(mark, Miss):
            begin = None
            continue
        kept = mark.heard and (link.kept_until is None or mark.at.latest <= link.kept_until)
        if begin is None:
            begin, begin_kept = mark.at, kept
            continue
        possible.update(range(_second(begin.earliest), _second(mark.at.latest)))
        if kept and begin_kept:
            certain.update(range(_second(begin.latest), _second(mark.at.earliest)))
    return Seconds(frozenset(certain), frozenset(possible))


def _between(link: Link, after: Link, window_ms: int) -> Seconds:
    """What is earned in the pause from `link` to `after`."""
    nothing = Seconds(frozenset(), frozenset())
    if not link.ours or link.ended is None:
        return nothing
    # Those that overlap need no bridge.
    if after.opened.earliest < link.ended.earliest or after.opened.earliest - link.ended.latest > window_ms:
        return nothing
    stretch = _last_stretch(link)
    if stretch is None:
        return nothing
    begin, last = stretch
    failed = any(isinstance(mark, Miss) for mark in link.marks)
    # Who failed is in good standing again with the first second that is confirmed after it.
    perhaps = not failed or _second(begin.earliest) < _second(last.latest)
    surely = not failed or _second(begin.latest) < _second(last.earliest)
    following = _on(after)
    earliest, latest = _second(after.opened.earliest), _second(after.opened.latest)
    certain: frozenset[int] = frozenset()
    possible: frozenset[int] = frozenset()
    if perhaps and (earliest in following.possible or latest in following.possible):
        possible = frozenset(range(_second(last.earliest), latest))
    if surely and latest in following.certain and _apart(link, after) <= window_ms:
        start = last
        if link.kept_until is not None:
            # What the killed worker did not hand on lies between its last word and the new opening.
            start = begin
        certain = frozenset(range(_second(start.latest), earliest))
    return Seconds(certain, possible | certain)


def _last_stretch(link: Link) -> tuple[Moment, Moment] | None:
    """From when to when a connection was in good standing at its end; None if it was not.

    One that was asked nothing yet, or has not answered yet, is, and from its opening on.
    """
    begin: Moment | None = link.opened
    last = link.opened
    for mark in link.marks:
        if isinstance(mark, Miss):
            begin = None
        else:
            begin, last = begin or mark.at, mark.at
    return None if begin is None else (begin, last)


def _apart(link: Link, after: Link) -> int:
    """Milliseconds from the end of one connection to the beginning of the next, at most."""
    assert link.ended is not None
    return after.opened.latest - link.ended.earliest


def _second(milliseconds: int) -> int:
    return milliseconds // 1000
