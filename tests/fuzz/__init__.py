"""What meets strangers' bytes, fuzzed: readers, segmenter, journal, model files (`make fuzz`)."""
