"""Pure: what every answer of local control is: named in snake case here and in camel case in JSON (design §17)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


def _as_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_as_utc)]
"""A point in time; ISO 8601 in UTC as JSON. A time without a zone is refused."""


class Document(BaseModel):
    """Base of the answers. Unknown keys are ignored: a newer daemon may add some."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")

    def to_json(self) -> dict[str, object]:
        """The document as plain JSON values with camel-case keys; a None is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
