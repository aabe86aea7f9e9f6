"""What the library costs. `python -m benchmarks` runs all of it; each module also runs alone."""
