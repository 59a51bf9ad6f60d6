"""gradsmith's benchmarks: cases as data, engines interleaved in one process."""
