"""Mutation testing of the kernels and gradients: `python -m tests.mutation` (docs/proof.md)."""
