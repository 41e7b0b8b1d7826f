"""What both clients know of their service: where it is, by which key it is
asked, and how patiently."""

from __future__ import annotations

import uuid

import grpc

from promptforge_client._retry import Retry
from promptforge_client._target import credentials, key, resolved

Metadata = tuple[tuple[str, str], ...]


class Session:
    """`credentials` None is without TLS; `metadata` goes with every call."""

    def __init__(
        self,
        target: str | None,
        api_key: str | None,
        tls: grpc.ChannelCredentials | None,
        plaintext: bool,
        patience: float,
    ) -> None:
        self.target = resolved(target)
        self.metadata: Metadata = (("x-api-key", key(api_key)),)
        self.credentials = credentials(self.target, tls, plaintext)
        self._patience = patience

    def once(self, idempotency_key: str | None) -> Metadata:
        """The metadata of a call that may be repeated and yet counts once."""
        return (*self.metadata, ("idempotency-key", idempotency_key or str(uuid.uuid4())))

    def retry(self) -> Retry:
        """The patience of one operation."""
        return Retry(self._patience)
