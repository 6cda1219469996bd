from market_operator.resource.naming import Key
from market_operator.scheduling.contests import LONGEST_DELAY_S, Contests

KEY, NAME, NOW = Key("md", "okx-btc"), "Deployment okx-btc-0", 1_000.0


def fight(contests: Contests, times: int) -> float:
    """Puts the object right as soon as it may be, `times` times; returns the last time."""
    now = NOW
    for _ in range(times):
        now += contests.wait(KEY, NAME, "a", now)
        assert contests.put_right(KEY, NAME, "a", True, "changed", now)
    return now


def test_first_change_is_put_right_at_once() -> None:
    contests = Contests()
    assert contests.wait(KEY, NAME, "a", NOW) == 0
    assert contests.put_right(KEY, NAME, "a", True, "changed", NOW)
    assert contests.repeated(KEY, NOW) == ()


def test_each_further_change_waits_twice_as_long() -> None:
    contests, waits = Contests(), list[float]()
    for times in range(1, 5):
        last = fight(contests := Contests(), times)
        waits.append(contests.wait(KEY, NAME, "a", last))
    assert waits == [1, 2, 4, 8]
    assert contests.wait(KEY, NAME, "a", fight(contests, 20)) == LONGEST_DELAY_S


def test_new_desired_state_does_not_wait_and_is_no_contest() -> None:
    contests = Contests()
    last = fight(contests, 4)
    assert contests.wait(KEY, NAME, "b", last) == 0
    assert not contests.put_right(KEY, NAME, "b", False, "", last)
    assert contests.repeated(KEY, last) == ()


def test_second_write_of_one_state_is_of_another_writer() -> None:
    """A second operator overwrites the hash of the desired state as well."""
    contests = Contests()
    assert not contests.put_right(KEY, NAME, "a", False, "", NOW)
    assert contests.put_right(KEY, NAME, "a", False, "changed", NOW + 1)


def test_contest_ends_when_nobody_changes_the_object() -> None:
    contests = Contests()
    last = fight(contests, 3)
    [contest] = contests.repeated(KEY, last)
    assert contest.count == 3
    assert contests.repeated(KEY, contest.ends) == ()
    assert contests.put_right(KEY, NAME, "a", True, "", contest.ends)
    assert contests.repeated(KEY, contest.ends) == (), "it starts from one"


def test_forgotten_resource_has_no_contest() -> None:
    contests = Contests()
    last = fight(contests, 3)
    contests.forget(KEY)
    assert contests.wait(KEY, NAME, "a", last) == 0
