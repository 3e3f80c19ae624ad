"""Conformance with PyTorch's operator database: values, dtypes and gradients, entry by entry.

``python -m benchmarks.conformance`` runs every entry of PyTorch's own test table (``op_db``) for
which `entries` has an adapter, on the table's sample inputs, and writes what it found.

- `entries`: torch's name -> a call of ours that takes torch's arguments, one file a subject;
- `check`: one entry on its samples, in one dtype;
- `page`: counts, and the page docs/conformance.md.
"""
