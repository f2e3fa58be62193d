"""What all tables share."""

from __future__ import annotations

from typing import Final

from sqlalchemy import MetaData
from sqlalchemy.dialects.postgresql import TIMESTAMP

Moment: Final = TIMESTAMP(timezone=True)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def one_of(column: str, values: object) -> str:
    """Word that a column has one of these values."""
    words = ", ".join(f"'{value}'" for value in values)  # type: ignore[attr-defined]
    return f"{column} in ({words})"
