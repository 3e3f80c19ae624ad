"""The linear algebra of the array API standard: a list of names."""

from fieldgrad.engine.ops.linalg import matmul

__all__ = ["matmul"]
