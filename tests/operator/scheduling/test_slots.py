from collections import Counter, deque

from market_operator.resource.naming import Key
from market_operator.scheduling.slots import Slots


def taken(slots: Slots, *keys: Key) -> int:
    """Takes slots for the keys in turn, until none of them may take another one."""
    count = 0
    while open_keys := [key for key in keys if slots.is_open(key.namespace) and slots.may_take(key)]:
        slots.take(open_keys[count % len(open_keys)])
        count += 1
    return count


def test_one_namespace_gets_at_most_half() -> None:
    assert taken(Slots(32), *(Key("noisy", str(number)) for number in range(9))) == 16


def test_one_resource_gets_at_most_a_quarter() -> None:
    assert taken(Slots(32), Key("noisy", "a")) == 8


def test_a_further_namespace_finds_a_free_slot() -> None:
    """Ten namespaces take all they may, and each probe ends once in ten rounds."""
    slots, running = Slots(32), deque[Key]()
    for _ in range(320):
        for number in range(10):
            key = Key(f"noisy-{number}", "a")
            if slots.is_open(key.namespace):
                slots.take(key)
                running.append(key)
        slots.release(running.popleft())
    assert slots.is_open("next-door")
    assert max(Counter(running).values()) <= 4


def test_all_slots_are_used_by_many_namespaces() -> None:
    slots = Slots(32)
    assert taken(slots, *(Key(f"n{number}", "a") for number in range(40))) == 32
    assert slots.free == 0


def test_released_slot_is_free_again() -> None:
    slots, key = Slots(4), Key("md", "a")
    slots.take(key)
    assert not slots.may_take(key)
    slots.release(key)
    assert slots.may_take(key)
    assert slots.free == 4
