"""The chaos harness: `python -m tests.soak [ROW ...]` kills, stops and cuts, and prints what it cost."""
