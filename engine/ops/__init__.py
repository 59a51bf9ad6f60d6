"""The ops: one file a family, same stems as the kernels."""
