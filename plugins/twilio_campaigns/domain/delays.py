"""Times to delivery in buckets that grow by a tenth: enough for a median over any choice of messages. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Each bucket ends where the next one begins, so much later. Half of it is the error of a percentile: 5 %.
GROWTH: Final = 1.1


def bounds(bucket: int) -> tuple[float, float]:
    """Give where a bucket begins, and where it ends, in seconds: 0 below one, n from 1.1^(n-1) to less than 1.1^n."""
    return (GROWTH ** (bucket - 1) if bucket else 0.0, GROWTH**bucket)


def percentile(buckets: Mapping[int, int], share: float) -> float | None:
    """Give the time within which a share of the messages was delivered; ``None`` of no message at all.

    At most 5 % from the truth, or half a second where that is more: the middle of the bucket in which it lies.

    :param buckets: messages by bucket.
    :param share: 0.5 for the median.
    """
    total = sum(buckets.values())
    if not total:
        return None
    # The place that PostgreSQL's percentile_disc takes.
    place, seen = max(1, math.ceil(share * total)), 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= place:
            return _middle(bucket)
    raise AssertionError("The places are counted by the same figures.")


def _middle(bucket: int) -> float:
    begins, ends = bounds(bucket)
    return math.sqrt(begins * ends) if bucket else ends / 2
