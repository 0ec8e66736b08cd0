"""What the control plane asks confined processes to do with rattler, which they alone import."""

from __future__ import annotations

from perijove.backends.environments.conda.asked import Answer, Linked, Order, Question, World
from perijove.domain.ports import Tell

NEEDS = tuple(f"perijove.backends.environments.conda.{name}" for name in ("solving", "linking"))
"""Imported before the fork: afterwards their files may be out of reach."""


async def solved(world: World, question: Question) -> Answer:
    """Raises Fail: `build.*`."""
    from perijove.backends.environments.conda.solving import solve  # noqa: PLC0415 - never in the control plane

    return await solve(world, question)


async def linked(world: World, order: Order, *, tell: Tell) -> Linked:
    """Raises Fail: `build.*`, and Beyond."""
    from perijove.backends.environments.conda.linking import link  # noqa: PLC0415 - never in the control plane

    return await link(world, order, tell)
