"""A Ray cluster of two nodes on this machine: prints its address, ends with its standard input."""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster

if __name__ == "__main__":
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": 120_000_000},
    )
    cluster.add_node(num_cpus=1, object_store_memory=120_000_000)
    print(cluster.address, flush=True)
    sys.stdin.read()
    cluster.shutdown()
