"""How a picture's task goes on after it was accepted: written behind the task's id."""

from __future__ import annotations

from dataclasses import replace

from modelscope_transport.emulator.answers import Answer, Reply
from modelscope_transport.emulator.scenarios.kinds import Act, Scenario, Situation, on_reply


def _fate(name: str, default: int | None = None) -> Act:
    def write(situation: Situation, reply: Reply) -> Answer:
        if not isinstance(reply.body, dict) or "task_id" not in reply.body:
            return reply
        number = "" if default is None else f"-{int(situation.number(default))}"
        task_id = f"{reply.body['task_id']}~{name}{number}"
        return replace(reply, body={**reply.body, "task_id": task_id})

    return on_reply(write)


ROWS: tuple[Scenario, ...] = (
    Scenario("task_slow", "a picture's task takes its time", _fate("slow", 5), "looks"),
    Scenario(
        "task_pending", "the task waits its turn, and says PENDING", _fate("pending", 2), "looks"
    ),
    Scenario(
        "task_running", "the task is worked on, and says RUNNING", _fate("running", 2), "looks"
    ),
    Scenario(
        "task_trouble", "asking after it fails at first, with 502", _fate("trouble", 1), "looks"
    ),
    Scenario("task_refused", "the task fails: inappropriate content", _fate("refused")),
    Scenario("task_busy", "the task fails: the service is busy", _fate("busy")),
    Scenario("task_spent", "the task fails: the Magicubes are spent", _fate("spent")),
    Scenario("task_message", "the task fails, its reason outside of errors", _fate("outside")),
    Scenario("task_gone", "the task is not found", _fate("gone")),
    Scenario("task_empty", "the task succeeds without a picture", _fate("none")),
    Scenario("task_broken", "the picture's address leads to a web page", _fate("broken")),
    Scenario("task_foreign", "the picture's address is not encrypted", _fate("foreign")),
)
