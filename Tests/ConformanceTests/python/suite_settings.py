"""Settings: what system_views.settings shows, what a running node takes, and what it refuses."""

import os
import random
import subprocess
import tempfile

from cassandra import InvalidRequest

from harness import Environment, asserted_refusal, behaviour, equal, eventually, needs, refusals, true
from ring import HANGING, Ring


def node(env):
    """A session whose coordinator is always the first node: settings are each node's own."""
    env.make_keyspace()
    return env.shared("node", lambda: env.only(1))


def value(env, name, session=None):
    rows = list((session or node(env)).execute(
        "SELECT value FROM system_views.settings WHERE name = %s", (name,)))
    return rows[0][0] if rows else None


def change(env, name, text):
    node(env).execute("UPDATE system_views.settings SET value = %s WHERE name = %s", (text, name))


def prepare(env):
    env.make_keyspace()
    return {}


# What is shown

SHOWN = [
    ("read_request_timeout", "5000ms"), ("range_request_timeout", "10000ms"),
    ("write_request_timeout", "2000ms"), ("truncate_request_timeout", "60000ms"),
    ("max_hint_window", "3h"), ("hinted_handoff_enabled", "true"),
    ("commitlog_sync", "periodic"), ("commitlog_sync_period", "10000ms"),
    ("commitlog_segment_size", "32MiB"), ("compaction_throughput", "64MiB/s"),
    ("batch_size_warn_threshold", "5KiB"), ("batch_size_fail_threshold", "50KiB"),
    ("tombstone_warn_threshold", "1000"), ("tombstone_failure_threshold", "100000"),
    ("query_tombstone_page_limit", "10000"), ("compact_tables_enabled", "true"),
    ("drop_compact_storage_enabled", "false"),
    ("allow_filtering_enabled", "true"), ("page_size_fail_threshold", "-1"),
    ("read_consistency_levels_disallowed", "[]"), ("num_tokens", "16"),
    ("disk_failure_policy", "stop"), ("phi_convict_threshold", "8.0"),
    ("native_transport_max_request_data_in_flight", "256MiB"),
]


def untouched(env):
    """A session of a node that was told no setting."""
    def make():
        ring = Ring.up(env.ring.binary, os.path.join(env.ring.folder, "untouched"), 1, is_patient=False)
        own = Environment(ring, "untouched")
        env.at_end(ring.down)
        env.at_end(own.close)
        return own.only(1)
    return env.shared("untouched", make)


def shown(name, text):
    def check(env):
        equal(value(env, name, untouched(env)), text, name)

    check.__name__ = f"{name}_is_shown_as_{text}"
    return behaviour(check)


for _name, _text in SHOWN:
    shown(_name, _text)


@behaviour
def the_settings_have_the_columns_of_Cassandra(env):
    columns = env.rows(
        "SELECT column_name, kind, type FROM system_virtual_schema.columns "
        "WHERE keyspace_name = 'system_views' AND table_name = 'settings'")
    equal(sorted(columns), [("name", "partition_key", "text"), ("value", "regular", "text")])


@behaviour
def all_settings_come_sorted_by_name(env):
    names = [row[0] for row in node(env).execute("SELECT name FROM system_views.settings")]
    equal(names, sorted(names))
    true(len(names) > 60, f"{len(names)} settings")
    equal(len(set(names)), len(names))


# What may be changed


def changes(name, text, again):
    def check(env):
        before = value(env, name)
        try:
            change(env, name, text)
            equal(value(env, name), again, name)
        finally:
            change(env, name, before)
        equal(value(env, name), before, "restored")

    check.__name__ = f"{name}_may_be_changed_to_{text}"
    return behaviour(check)


for _change in [
    ("read_request_timeout", "7s", "7000ms"), ("write_request_timeout", "2500ms", "2500ms"),
    ("max_hint_window", "4h", "4h"), ("hinted_handoff_enabled", "false", "false"),
    ("compaction_throughput", "32MiB/s", "32MiB/s"), ("auto_snapshot", "false", "false"),
    ("batch_size_warn_threshold", "6KiB", "6KiB"), ("file_cache_size", "64MiB", "64MiB"),
    ("read_consistency_levels_warned", "ALL,three", "[ALL, THREE]"),
    ("page_size_warn_threshold", "100", "100"), ("permissions_validity", "0ms", "0ns"),
]:
    changes(*_change)


@behaviour
def a_setting_may_be_changed_by_a_prepared_statement(env):
    statement = node(env).prepare("UPDATE system_views.settings SET value = ? WHERE name = ?")
    before = value(env, "max_requests_in_flight")
    node(env).execute(statement, ("1234", "max_requests_in_flight"))
    equal(value(env, "max_requests_in_flight"), "1234")
    node(env).execute(statement, (before, "max_requests_in_flight"))


@behaviour
@needs(3)
def a_change_holds_on_its_node_only(env):
    other = env.only(2)
    change(env, "cas_backoff", "5ms")
    equal(value(env, "cas_backoff"), "5ms")
    equal(value(env, "cas_backoff", other), "4ms")
    change(env, "cas_backoff", "4ms")


@behaviour
def nodetool_and_the_table_change_the_same_value(env):
    before = value(env, "read_request_timeout")
    code, _, errors = env.ring.admin("settimeout", "read", "6000")
    equal((code, errors), (0, ""))
    equal(value(env, "read_request_timeout"), "6000ms")
    change(env, "read_request_timeout", "5s")
    _, output, _ = env.ring.admin("gettimeout", "read")
    true("5000 ms" in output, output)
    change(env, "read_request_timeout", before)


@behaviour
def a_refused_change_leaves_the_value(env):
    before = value(env, "read_request_timeout")
    env.refused(
        InvalidRequest, "with its unit", lambda: change(env, "read_request_timeout", "7"))
    equal(value(env, "read_request_timeout"), before)


refusals([
    ("a name that does not exist names the near one",
     "UPDATE system_views.settings SET value = '1s' WHERE name = 'read_request_timeot'",
     InvalidRequest, "did you mean read_request_timeout?"),
    ("a value without its unit",
     "UPDATE system_views.settings SET value = '1' WHERE name = 'read_request_timeout'",
     InvalidRequest, "with its unit"),
    ("a number out of range",
     "UPDATE system_views.settings SET value = '0' WHERE name = 'max_requests_in_flight'",
     InvalidRequest, "a whole number from 1"),
    ("a word that is no flag",
     "UPDATE system_views.settings SET value = 'yes' WHERE name = 'allow_filtering_enabled'",
     InvalidRequest, "true or false"),
    ("a level that does not exist",
     "UPDATE system_views.settings SET value = 'MOST' WHERE name = 'read_consistency_levels_warned'",
     InvalidRequest, "a list with commas of ANY, ONE"),
    ("what is read at the start only",
     "UPDATE system_views.settings SET value = '64MiB' WHERE name = 'commitlog_segment_size'",
     InvalidRequest, "cannot be changed while the node runs"),
    ("the name of the cluster",
     "UPDATE system_views.settings SET value = 'other' WHERE name = 'cluster_name'",
     InvalidRequest, "cannot be changed while the node runs"),
    ("no value",
     "UPDATE system_views.settings SET value = null WHERE name = 'read_request_timeout'",
     InvalidRequest, "cannot be deleted"),
    ("deleting a setting",
     "DELETE FROM system_views.settings WHERE name = 'read_request_timeout'",
     InvalidRequest, "cannot be deleted"),
    ("a conditional change",
     "UPDATE system_views.settings SET value = '1s' WHERE name = 'read_request_timeout' IF EXISTS",
     InvalidRequest, "Conditional updates are not supported by virtual tables"),
    ("a change for a time",
     "UPDATE system_views.settings USING TTL 9 SET value = '1s' WHERE name = 'read_request_timeout'",
     InvalidRequest, "Expiring columns are not supported by virtual tables"),
    ("a change as of a time",
     "UPDATE system_views.settings USING TIMESTAMP 9 SET value = '1s' WHERE name = 'read_request_timeout'",
     InvalidRequest, "Custom timestamp is not supported by virtual tables"),
    ("emptying the table", "TRUNCATE system_views.settings", InvalidRequest,
     "Truncation is not supported by table system_views.settings"),
    ("changing another virtual table",
     "UPDATE system_views.caches SET entry_count = 1 WHERE name = 'chunks'", InvalidRequest,
     "Modification is not supported by table system_views.caches"),
    ("a logged batch of settings",
     "BEGIN BATCH UPDATE system_views.settings SET value = '1s' WHERE name = 'cas_backoff'; "
     "APPLY BATCH", InvalidRequest, "Cannot include a virtual table statement in a logged batch"),
    ("a batch of settings",
     "BEGIN UNLOGGED BATCH UPDATE system_views.settings SET value = '1s' WHERE name = 'cas_backoff'; "
     "APPLY BATCH", InvalidRequest, "A setting is changed by a statement of its own"),
    ("a warn threshold above the fail threshold",
     "UPDATE system_views.settings SET value = '-2' WHERE name = 'page_size_warn_threshold'",
     InvalidRequest, "a whole number from -1"),
], prepare)


@behaviour
def refused_thresholds_that_contradict_each_other(env):
    change(env, "page_size_fail_threshold", "10000")
    try:
        env.refused(
            InvalidRequest, "should be lower than the fail threshold",
            lambda: change(env, "page_size_warn_threshold", "10001"))
    finally:
        change(env, "page_size_fail_threshold", "-1")


# Files


def start(env, text, *arguments):
    """`coterie node` with that configuration file and a folder that cannot be, so that it never runs."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "cassandra.yaml")
        with open(path, "w") as file:
            file.write(text)
        result = subprocess.run(
            [env.ring.binary, "node", "--config", path, "--data", "/proc/no/such/folder",
             *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=HANGING)
        return result.returncode, result.stderr


def file_refused(name, text, *phrases):
    def check(env):
        code, errors = start(env, text)
        equal(code, 1)
        for phrase in phrases:
            true(phrase in errors, f"{phrase!r} is not in {errors!r}")
            asserted_refusal(phrase)

    check.__name__ = "a_file_is_refused_for_" + name
    return behaviour(check)


for _case in [
    ("an_unknown_key", "cluster_name: a\nread_request_timeot: 1s\n",
     "line 2:", "did you mean read_request_timeout?"),
    ("a_value_without_its_unit", "# a comment\n\nread_request_timeout: 5\n", "line 3:",
     "with its unit"),
    ("a_key_that_comes_twice", "num_tokens: 16\nnum_tokens: 8\n", "line 2:", "in line 1"),
    ("a_tab", "seed_provider:\n\t- a: b\n", "line 2:", "tab"),
    ("a_quote_that_is_not_closed", "cluster_name: 'a\n", "line 1:", "not closed"),
    ("an_anchor", "cluster_name: &a b\n", "line 1:", "not supported"),
    ("another_partitioner", "partitioner: org.apache.cassandra.dht.RandomPartitioner\n", "line 1:",
     "Murmur3Partitioner"),
    ("encrypted_clients", "client_encryption_options:\n  enabled: true\n", "line 1:",
     "not encrypted"),
    ("change_data_capture", "cdc_enabled: true\n", "line 1:", "change data capture"),
    ("two_addresses", "listen_address: 127.0.0.1\nrpc_address: 127.0.0.2\n", "line 2:",
     "one address"),
    ("a_host_name", "listen_address: somewhere\n", "line 1:", "IP address"),
    ("a_guardrail_that_is_not_there", "collection_size_warn_threshold: 1MiB\n", "line 1:",
     "no such guardrail"),
]:
    file_refused(*_case)


@behaviour
def a_file_with_the_usual_keys_is_taken_and_says_what_has_no_effect(env):
    code, errors = start(env, """
# The keys that every installation has.
cluster_name: 'Test Cluster'
num_tokens: 16
allocate_tokens_for_local_replication_factor: 3
hinted_handoff_enabled: true
max_hint_window: 3h
authenticator:
  class_name: AllowAllAuthenticator
authorizer:
  class_name: AllowAllAuthorizer
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "127.0.0.1:7000"
concurrent_reads: 32
listen_address: localhost
rpc_address: localhost
native_transport_port: 9042
commitlog_sync: periodic
commitlog_sync_period: 10000ms
read_request_timeout_in_ms: 6000
endpoint_snitch: SimpleSnitch
server_encryption_options:
  internode_encryption: none
  keystore: conf/.keystore
memtable:
initial_token:
""")
    equal(code, 1)
    for phrase in ("seed_provider has no effect", "concurrent_reads has no effect"):
        true(phrase in errors, f"{phrase!r} is not in {errors!r}")
    true("did you mean" not in errors, errors)
    true("/proc/no" in errors.splitlines()[-1], errors.splitlines()[-1])


@behaviour
def a_node_starts_from_cassandras_own_file(env):
    whole = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                         "..", "..", "..", "Fixtures", "configuration", "cassandra-5.0.yaml")
    # The ports of that file on an address that nobody else has.
    address = "127." + ".".join(str(random.SystemRandom().randrange(1, 255)) for _ in range(3))
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "log"), "w") as log:
            node = subprocess.Popen(
                [env.ring.binary, "node", "--config", whole, "--data", os.path.join(folder, "data"), "--initialise",
                 "--address", address, "--admin-port", "17199"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            session = eventually(lambda: env.cluster(contact_points=[address], port=9042).connect())
            values = dict(tuple(row) for row in session.execute("SELECT name, value FROM system_views.settings"))
            equal((values["cluster_name"], values["max_hint_window"]), ("Test Cluster", "3h"))
            equal(values["truncate_request_timeout"], "60000ms")
            with open(os.path.join(folder, "log")) as log:
                told = log.read()
            for key in ("seed_provider", "concurrent_reads", "trickle_fsync", "memtable"):
                equal(told.count(f": {key} has no effect"), 1, key)
        finally:
            node.kill()
            node.wait()


@behaviour
def a_file_that_does_not_exist_is_named(env):
    result = subprocess.run(
        [env.ring.binary, "node", "--config", "/no/such/file.yaml", "--data", "/proc/no"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        timeout=HANGING)
    equal(result.returncode, 1)
    true("/no/such/file.yaml: there is no such file" in result.stderr, result.stderr)
