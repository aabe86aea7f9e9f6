"""What a batch may cost: a bound in credits, kept before each paid request. Pure.

The service tells no prices, so the caller does; what it charges in the end is not known here.
"""

from __future__ import annotations

from typing import Any

import attrs

from ..errors import ConfigurationError, InputError

__all__ = ["Budget", "check_budget"]


@attrs.frozen
class Budget:
    """A bound.

    Attributes:
        max_credits: Credits that may be spent, every run of the journal counted.
        price_per_item: Credits that an upload costs.
        aside: Credits of it that something else will take.
    """

    max_credits: float
    price_per_item: float
    aside: float = 0.0

    def affords(self, requests: int) -> bool:
        """Whether so many uploads, those made before included, stay within it."""
        return requests * self.price_per_item + self.aside <= self.max_credits

    def check(self, new: int, made: int = 0) -> None:
        """Makes sure that uploads can be paid for.

        Args:
            new: Uploads that are to be made.
            made: Uploads that were made, or may have been.

        Raises:
            InputError: They would cost more than the bound.
        """
        if self.affords(made + new):
            return
        besides = f" and {made} before" if made else ""
        besides += f" and {self.aside:g} for the training" if self.aside else ""
        raise InputError(
            f"{new} uploads at {self.price_per_item:g} credits each{besides} cost more than max_credits="
            f"{self.max_credits:g}, so nothing was sent: upload fewer, or raise max_credits"
        )


def check_budget(max_credits: Any, price_per_item: Any, *, aside: float = 0.0) -> Budget | None:
    """The bound that two settings make; None where there is none.

    Raises:
        ConfigurationError: They aren't numbers, or one goes without the other.
    """
    if max_credits is None and price_per_item is None:
        return None
    for name, value in (("max_credits", max_credits), ("price_per_item", price_per_item)):
        if value is None:
            raise ConfigurationError(f"{name}: give both max_credits and price_per_item; the service tells no prices")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10**12:
            raise ConfigurationError(f"{name}={value!r}: give credits, a number from 0")
    return Budget(max_credits, price_per_item, aside)
