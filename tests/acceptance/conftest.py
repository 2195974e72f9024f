"""The whole product, as its user meets it."""

from __future__ import annotations

from tests.lib.services import label_studio_bin, services

__all__ = ["label_studio_bin", "services"]
