"""Several collectors, started and stopped together, and restarted after a failure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Generator
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Self, TypedDict

from market_collector.api.collector import ExchangeCollector
from market_collector.api.loop import check_loop
from market_collector.api.model import instance_of
from market_collector.api.report import CollectorStatus, State
from market_collector.errors import CollectorError, ConfigurationError, ConnectionFailedError
from market_spec.messages import wrong_type

log = logging.getLogger(__name__)


class ManagerStatus(TypedDict):
    """The result of `CollectorManager.get_status`."""

    name: str
    running: bool
    total_collectors: int
    running_collectors: int
    failed_collectors: list[str]
    restarts: dict[str, int]
    """Number of restarts of each collector."""
    collectors: dict[str, CollectorStatus]


@dataclass(eq=False, slots=True)
class _Charge:
    """One managed collector."""

    name: str
    collector: ExchangeCollector
    keeper: asyncio.Task[None] | None = None
    restarts: int = 0
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    """Set after the first attempt to start, with or without success."""


class CollectorManager:
    """Manages collectors, and restarts a failed one that has ``auto_restart``.

    The delay between two attempts is the collector's own ``health_check_interval``.
    """

    def __init__(self, name: str = "collectors") -> None:
        if not isinstance(name, str):
            raise ConfigurationError(f"name: {wrong_type('a string', name)}. Add collectors with add_collector()")
        self.name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._charges: dict[str, _Charge] = {}
        self._leaving: list[_Charge] = []
        self._is_running = False

    def add_collector(self, collector: ExchangeCollector) -> str:
        """Adds a collector, and starts it if the manager runs.

        Returns its name here: ``okx_btc_usdt``, with ``_2``, ``_3``, ... if that is taken.

        Raises:
            ConfigurationError: it was added already, or is no collector.
            WrongLoopError: the manager runs in another event loop.
        """
        self._check_loop()
        instance_of(ExchangeCollector, "collector", collector, "Make one with ExchangeFactory.create_collector(config)")
        if any(charge.collector is collector for charge in self._charges.values()):
            raise ConfigurationError(f"{self.name}: {collector.name} was added already. Make another collector")
        if self._is_running:
            collector.check_start()
        charge = _Charge(self._free_name(collector.name), collector)
        self._charges[charge.name] = charge
        if self._is_running:
            self._start_keeper(charge)
        return charge.name

    def _free_name(self, name: str) -> str:
        names = (name if number == 1 else f"{name}_{number}" for number in count(1))
        return next(each for each in names if each not in self._charges)

    def remove_collector(self, collector: ExchangeCollector | str) -> Awaitable[None]:
        """Removes a collector, or the one with this name, and requests its stop.

        Await the result to wait for the stop; `stop` waits for it too.

        Raises:
            ConfigurationError: there is no such collector.
            WrongLoopError: the manager runs in another event loop.
        """
        self._check_loop()
        charges = self._charges
        name = next((name for name, charge in charges.items() if collector in (name, charge.collector)), None)
        if name is None:
            raise ConfigurationError(
                f"{self.name}: there is no collector {_name(collector)}. Collectors: {', '.join(charges) or 'none'}"
            )
        charge = charges.pop(name)
        self._leaving = [*(each for each in self._leaving if not _has_ended(each)), charge]
        _ask_to_end(charge)
        return _Leaving(self, charge)

    async def start(self) -> bool:
        """Starts all collectors; returns True once each is connected or has failed, and at least one is connected.

        A failure is logged and shown by `get_status`; with ``auto_restart`` the collector is restarted.

        Raises:
            WrongLoopError: the manager, or one of its collectors, runs in another event loop.
            ConnectionFailedError: none could be started (with each reason), or stopped meanwhile. Nothing is left
                running.
        """
        self._check_loop()
        for charge in self._charges.values():
            charge.collector.check_start()
        self._loop = asyncio.get_running_loop()
        self._is_running = True
        while ending := [
            charge.keeper for charge in self._charges.values() if charge.keeper and _is_ending(charge.keeper)
        ]:
            await asyncio.wait(ending)
        charges = list(self._charges.values()) if self._is_running else []
        for charge in charges:
            if charge.keeper is None or charge.keeper.done():
                self._start_keeper(charge)
        for charge in charges:
            await charge.tried.wait()
        if not self._is_running:
            await self.stop()
            raise ConnectionFailedError(f"{self.name}: stopped before all collectors were started")
        failed = {charge.name: charge.collector.get_status()["error"] for charge in charges if _has_failed(charge)}
        if charges and len(failed) == len(charges):
            await self.stop()
            reasons = "; ".join(failed.values())
            raise ConnectionFailedError(f"{self.name}: none of {len(failed)} collectors could be started: {reasons}")
        return True

    async def stop(self) -> None:
        """Stops all collectors; they can be started again.

        Raises:
            WrongLoopError: the manager runs in another event loop.
        """
        self._check_loop()
        self._is_running = False
        charges = [*self._charges.values(), *self._leaving]
        for charge in charges:
            _ask_to_end(charge)
        for charge in charges:
            await self._end(charge)
        if not self._is_running:
            self._loop = None

    def _check_loop(self) -> None:
        """Makes sure that the manager is used in its event loop, and forgets one that is closed, with its tasks."""
        if self._loop is not None and self._loop.is_closed():
            self._loop, self._is_running, self._leaving = None, False, []
            for charge in self._charges.values():
                charge.keeper = None
        if self._loop is not None:
            check_loop(self.name, self._loop)

    def get_status(self) -> ManagerStatus:
        """The status of each collector, and sums."""
        charges = self._charges
        states = {name: charge.collector.state for name, charge in charges.items()}
        return {
            "name": self.name,
            "running": self._is_running and self._loop is not None and not self._loop.is_closed(),
            "total_collectors": len(charges),
            "running_collectors": sum(state is State.RUNNING for state in states.values()),
            "failed_collectors": [name for name, state in states.items() if state is State.FAILED],
            "restarts": {name: charge.restarts for name, charge in charges.items()},
            "collectors": {name: charge.collector.get_status() for name, charge in charges.items()},
        }

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # --- one collector ---

    def _start_keeper(self, charge: _Charge) -> None:
        charge.tried = asyncio.Event()
        charge.keeper = asyncio.create_task(self._keep(charge), name=f"{self.name}: {charge.name}")

    async def _keep(self, charge: _Charge) -> None:
        try:
            while await self._try(charge):
                await asyncio.sleep(charge.collector.config.health_check_interval)
                charge.restarts += 1
                log.warning("%s: restarting %s (restart %d)", self.name, charge.name, charge.restarts)
        finally:
            charge.tried.set()

    async def _try(self, charge: _Charge) -> bool:
        """Runs the collector once; returns whether to restart it."""
        try:
            await charge.collector.start()
        except CollectorError as error:
            log.error("%s: %s could not be started: %s", self.name, charge.name, error)  # noqa: TRY400 - written for users
        charge.tried.set()
        await charge.collector.wait_until_stopped()
        return _has_failed(charge) and charge.collector.config.auto_restart

    async def _end(self, charge: _Charge) -> None:
        _ask_to_end(charge)
        if charge.keeper is not None:
            await asyncio.wait([charge.keeper])
        await charge.collector.stop()
        if charge in self._leaving:
            self._leaving.remove(charge)


class _Leaving:
    """The result of `remove_collector`; awaiting it is optional."""

    def __init__(self, manager: CollectorManager, charge: _Charge) -> None:
        self._manager = manager
        self._charge = charge

    def __await__(self) -> Generator[object, None, None]:
        return self._manager._end(self._charge).__await__()


def _ask_to_end(charge: _Charge) -> None:
    if charge.keeper is not None:
        charge.keeper.cancel()
    charge.collector.ask_to_stop()


def _name(collector: object) -> str:
    return collector.name if isinstance(collector, ExchangeCollector) else str(collector)


def _is_ending(keeper: asyncio.Task[None]) -> bool:
    return keeper.cancelling() > 0 and not keeper.done()


def _has_ended(charge: _Charge) -> bool:
    return (charge.keeper is None or charge.keeper.done()) and charge.collector.state in (State.STOPPED, State.FAILED)


def _has_failed(charge: _Charge) -> bool:
    return charge.collector.state is State.FAILED
