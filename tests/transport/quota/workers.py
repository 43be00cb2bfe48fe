"""Processes that race for a ledger or die over it: run as ``python workers.py WORK NAME …``."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from typing import Any

from modelscope_transport.quota import Budget, Closing, Reservation, open_ledger

MODEL = "Qwen/Qwen3-8B"


def race(name: str, processes: int, rounds: int, attempts: int, limit: int) -> None:
    """Let so many processes reserve and settle, round after round. Print the grants of each."""
    context: Any = multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn")
    line, told = context.Barrier(processes), context.SimpleQueue()
    racer = (name, rounds, attempts, limit, line, told)
    racers = [context.Process(target=run_race, args=racer) for _ in range(processes)]
    for each in racers:
        each.start()
    granted = Counter[int]()
    for _ in range(processes * rounds):
        number, grants = told.get()
        granted[number] += grants
    for each in racers:
        each.join()
    print(*(granted[number] for number in range(rounds)), flush=True)


def run_race(name: str, rounds: int, attempts: int, limit: int, line: Any, told: Any) -> None:
    """One of them; all begin each round together."""
    ledger = open_ledger(name)
    assert ledger is not None
    ledger.quotas("warm")
    for number in range(rounds):
        line.wait()
        granted = 0
        for _ in range(attempts):
            leave = ledger.reserve(f"round-{number}", MODEL, budget=Budget(calls=limit))
            if isinstance(leave, Reservation):
                granted += 1
                ledger.settle(leave, Closing(charged=True))
        told.put((number, granted))


def kill(name: str, kills: int, limit: int) -> None:
    """Have ``kills`` children killed while they reserve. Print what they were granted in all."""
    ledger = open_ledger(name)
    assert ledger is not None
    ledger.quotas("me")  # the children begin with a connection that is their parent's
    granted = 0
    for _ in range(kills):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            while True:
                leave = ledger.reserve("me", MODEL, budget=Budget(calls=limit))
                if isinstance(leave, Reservation):
                    os.write(write, b"+")
                    ledger.settle(leave, Closing(charged=True))
        os.close(write)
        granted += len(os.read(read, 1))  # each gets to work before it is killed at it
        time.sleep(random.uniform(0.001, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while data := os.read(read, 65_536):
            granted += len(data)
        os.close(read)
    print(granted, flush=True)


if __name__ == "__main__":
    work, name, *numbers = sys.argv[1:]
    if work == "race":
        race(name, *map(int, numbers))
    else:
        kill(name, *map(int, numbers))
