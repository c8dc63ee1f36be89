"""Room that threads share: nobody waits for those who came later."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from inspector.runtime.room import Room


def test_who_wants_much_is_served_before_those_who_came_later():
    room, served = Room(4), list[int]()

    def take(amount: int) -> None:
        with room.taken(amount):
            served.append(amount)

    with ExitStack() as held:
        held.enter_context(room.taken(1))
        threads = [threading.Thread(target=take, args=(amount,), daemon=True) for amount in (4, 1)]
        for number, thread in enumerate(threads, start=1):
            thread.start()
            while len(room._waiting) < number and len(served) < 1:
                thread.join(0.01)
    for thread in threads:
        thread.join(30)
    assert served == [4, 1]
