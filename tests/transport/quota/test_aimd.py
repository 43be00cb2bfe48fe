"""How the level of calls at once is found out."""

from __future__ import annotations

from modelscope_transport.quota import AIMD


def test_it_grows_by_one_at_each_success_until_something_has_proved_too_many() -> None:
    aimd = AIMD()
    levels = []
    for _ in range(4):
        aimd.increase()
        levels.append(aimd.level)
    assert levels == [2, 3, 4, 5]


def test_a_refusal_halves_it_and_counts_once_for_all_of_its_time() -> None:
    aimd = AIMD(level=9)
    aimd.decrease(0, inside=9)
    aimd.decrease(0, inside=8)
    assert (aimd.level, aimd.too_many, aimd.epoch) == (4, 9, 1)


def test_below_what_proved_too_many_it_grows_after_a_level_of_successes() -> None:
    aimd = AIMD(level=4)
    aimd.decrease(0, inside=4)
    levels = []
    for _ in range(2):
        aimd.increase()
        levels.append(aimd.level)
    assert levels == [2, 3]


def test_what_proved_too_many_is_tried_again_after_patience_which_learns() -> None:
    aimd = AIMD(level=3, too_many=4)
    for _ in range(31):
        aimd.increase()
    assert aimd.level == 3
    aimd.increase()
    assert (aimd.level, aimd.too_many, aimd.patience) == (4, 5, 16)
    aimd.decrease(0, inside=4)
    assert (aimd.level, aimd.too_many, aimd.patience) == (2, 4, 64)


def test_patience_has_bounds() -> None:
    aimd = AIMD(level=8, too_many=9, patience=200)
    aimd.decrease(0, inside=8)
    assert aimd.patience == 256
    aimd = AIMD(level=8, too_many=9, patience=9, successes=8)
    aimd.increase()
    assert aimd.patience == 8


def test_it_never_falls_below_one() -> None:
    aimd = AIMD()
    aimd.decrease(0, inside=1)
    assert (aimd.level, aimd.too_many) == (1, 2)
