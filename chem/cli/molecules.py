"""The verbs on molecules: ``fieldgrad chem train``, ``predict``, ``evaluate``, …"""

from collections.abc import Callable
from typing import Any

__all__ = ["VERBS"]

VERBS: tuple[Callable[..., Any], ...] = ()
