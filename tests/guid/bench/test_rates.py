"""Every kind of traffic gets through. Shapes are checked here, never times."""

from guid.bench.bed import Bed
from guid.bench.rates import rates


def test_every_kind_gets_through() -> None:
    with Bed() as bed:
        rows = rates(bed, 20)
    assert len(rows) == 3
    assert all(row["per_s"] > 0 and row["worker_cpu_us"] >= 0 for row in rows)
