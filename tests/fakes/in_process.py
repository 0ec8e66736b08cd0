"""The port Confined in the test's own process: the same way through JSON, no fork, no bounds but Python's own."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from perijove.backends.confined.frames import answer_of, arguments, call_of
from perijove.domain import wire
from perijove.domain.confinement import READING, Beyond, Bounds, Identity, Limit
from perijove.domain.failures import Fail, of
from perijove.domain.ports import Tell

T = TypeVar("T")


class InProcess:
    """Calls functions here."""

    async def call(
        self, function: Callable[..., T], *given: object, bounds: Bounds = READING, lasting: bool = False
    ) -> T:
        value: T = await self._called(function, given, None)
        return value

    async def run(
        self,
        function: Callable[..., Coroutine[Any, Any, T]],
        *given: object,
        bounds: Bounds = READING,
        tell: Tell | None = None,
    ) -> T:
        value: T = await self._called(function, given, tell)
        return value

    def hand_over(self, folder: Path, identity: Identity, *, contents: bool = False) -> None:
        """It is ours, and so are the calls."""

    def take_back(self, folder: Path) -> None:
        """It never was another's."""

    async def _called(self, function: Callable[..., Any], given: tuple[object, ...], tell: Tell | None) -> Any:
        call = call_of(function, given, READING, tells=tell is not None)
        told = arguments(function, tuple(json.loads(json.dumps(call.given))))
        more = {"tell": tell} if tell is not None else {}
        try:
            answer = function(*told, **more)
            answer = await answer if inspect.isawaitable(answer) else answer
        except RecursionError as error:
            raise Beyond(Limit.DEPTH, "deeper nesting than is read") from error
        except (Fail, Beyond):
            raise
        except Exception as error:
            raise Fail(of(error)) from error
        return answer_of(function, json.loads(json.dumps(wire.encode(answer))))
