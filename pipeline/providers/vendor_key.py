"""What may be said of a key: a short word that tells two of them apart."""

from __future__ import annotations

import hashlib

from pydantic import SecretStr


def gate_name(vendor: str, key: SecretStr | None) -> str:
    """The name of a vendor's key for the fleet: limits belong to the key, and the key itself stays where it is."""
    secret = key.get_secret_value() if key else ""
    return f"{vendor}:{hashlib.sha256(secret.encode()).hexdigest()[:8]}"
