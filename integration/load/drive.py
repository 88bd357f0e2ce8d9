"""Looks at the servers of a sandbox: see run.sh."""

from cluster import expect_equal

print(f"{expect_equal()} tables equal on all servers")
