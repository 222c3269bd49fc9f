"""The fields of requests that many routes take, bounded."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from settings import ID_PATTERN, NAME_PATTERN


class Body(BaseModel):
    """The body of a request: a field that is misspelt, or of another type, is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


JobId = Annotated[str, Field(pattern=ID_PATTERN)]
Tenant = Annotated[str, Field(pattern=ID_PATTERN)]
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
WebhookId = Annotated[str, Field(pattern=r"^wh_[0-9a-f]{16}$")]
DeliveryId = Annotated[str, Field(pattern=r"^msg_[0-9a-f]{24}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Reason = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]
PageSize = Annotated[int, Query(ge=1, le=500)]
