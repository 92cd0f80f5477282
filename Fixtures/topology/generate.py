"""Writes replicas.txt: tokens and replicas as the Python cassandra-driver computes them.

Run with a Python that has cassandra-driver: python3 generate.py > replicas.txt
Lines: `cluster NAME`, `node NUMBER DATACENTER RACK TOKEN...`, `keyspace NAME CLASS OPTION=VALUE...`,
`replicas TOKEN NUMBER...` (the driver's order; for several datacenters or repeated racks only the set
counts), `key HEX TOKEN`.
"""
import random
import uuid

from cassandra.metadata import Metadata, Murmur3Token, TokenMap
from cassandra.metadata import NetworkTopologyStrategy, SimpleStrategy, KeyspaceMetadata
from cassandra.connection import DefaultEndPoint
from cassandra.policies import SimpleConvictionPolicy
from cassandra.pool import Host

rng = random.Random(20)

CLUSTERS = {
    "three-nodes": [("dc1", "r1"), ("dc1", "r1"), ("dc1", "r1")],
    "six-nodes-two-racks": [("dc1", r) for r in ("r1", "r1", "r1", "r1", "r2", "r2")],
    "five-nodes-three-racks": [("dc1", r) for r in ("r1", "r2", "r3", "r1", "r2")],
    "two-datacenters": [("dc1", "r1"), ("dc1", "r2"), ("dc1", "r3"), ("dc1", "r1"),
                        ("dc2", "r1"), ("dc2", "r1"), ("dc2", "r2")],
    "one-node": [("dc1", "r1")],
}
KEYSPACES = [
    ("simple1", "SimpleStrategy", {"replication_factor": "1"}),
    ("simple3", "SimpleStrategy", {"replication_factor": "3"}),
    ("network1", "NetworkTopologyStrategy", {"dc1": "1"}),
    ("network3", "NetworkTopologyStrategy", {"dc1": "3"}),
    ("network32", "NetworkTopologyStrategy", {"dc1": "3", "dc2": "2"}),
    ("network54", "NetworkTopologyStrategy", {"dc1": "5", "dc2": "4"}),
]
for name, nodes in CLUSTERS.items():
    print("cluster", name)
    hosts, owners = [], {}
    for number, (dc, rack) in enumerate(nodes):
        host = Host(DefaultEndPoint(f"10.0.0.{number + 1}"), SimpleConvictionPolicy,
                    datacenter=dc, rack=rack, host_id=uuid.UUID(int=number + 1))
        hosts.append(host)
        tokens = sorted(rng.randrange(-2**63 + 1, 2**63) for _ in range(8))
        print("node", number, dc, rack, *tokens)
        for token in tokens:
            owners[Murmur3Token(token)] = host
    metadata = Metadata()
    ring = sorted(owners)
    probes = []
    for token in ring:
        probes += [token.value, min(token.value + 1, 2**63 - 1)]
    probes += [-2**63 + 1, 2**63 - 1, 0]
    probes += [rng.randrange(-2**63 + 1, 2**63) for _ in range(20)]
    for keyspace, strategy, options in KEYSPACES:
        if "dc2" in options and not any(dc == "dc2" for dc, _ in nodes):
            continue
        print("keyspace", keyspace, strategy, *(f"{k}={v}" for k, v in options.items()))
        metadata.keyspaces[keyspace] = KeyspaceMetadata(keyspace, True, strategy, options)
        token_map = TokenMap(Murmur3Token, owners, ring, metadata)
        for probe in probes:
            replicas = token_map.get_replicas(keyspace, Murmur3Token(probe))
            print("replicas", probe, *(hosts.index(r) for r in replicas))
for length in list(range(0, 40)) + [63, 64, 65, 200]:
    for _ in range(3):
        key = bytes(rng.randrange(256) for _ in range(length))
        print("key", key.hex() or "-", Murmur3Token.from_key(key).value)
