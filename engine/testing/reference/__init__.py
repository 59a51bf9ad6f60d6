"""What the ops compute, in float64 NumPy, written to be read. Imports nothing of ours."""
