"""What the benchmarks measure with, and the sides they compare."""
