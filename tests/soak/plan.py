"""How large a run is."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """So many jobs a row; `small` also takes fewer blows, for a run between two cups of tea."""

    jobs: int = 5000
    seed: int = 1
    small: bool = False

    def pick(self, large: int, small: int) -> int:
        """A count for this size."""
        return small if self.small else large

    @property
    def deadline(self) -> float:
        """Generous: at its end a row has failed."""
        return 60.0 + self.jobs * 0.25

    def dice(self) -> random.Random:
        """The same for the same seed."""
        return random.Random(self.seed)
