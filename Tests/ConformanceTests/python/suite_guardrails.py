"""Guardrails and warnings: what clients are told of, and what they are refused when an operator says so."""

from cassandra import ConsistencyLevel, InvalidRequest, ReadFailure
from cassandra.query import SimpleStatement

from harness import asserted_refusal, behaviour, equal, true
from wire import ERROR, QUERY, RESULT, Wire


def node(env):
    """A session whose coordinator is always the first node: settings are each node's own."""
    env.make_keyspace()
    return env.shared("node", lambda: env.only(1))


def table(env):
    return env.shared("rows", lambda: env.table("k int, c int, v int, PRIMARY KEY (k, c)"))


def change(env, name, text):
    node(env).execute("UPDATE system_views.settings SET value = %s WHERE name = %s", (text, name))


class setting:
    """A setting with another value for a while."""

    def __init__(self, env, **values):
        self.env, self.values = env, values

    def __enter__(self):
        self.before = {}
        for name, text in self.values.items():
            self.before[name] = list(node(self.env).execute(
                "SELECT value FROM system_views.settings WHERE name = %s", (name,)))[0][0]
            change(self.env, name, text)

    def __exit__(self, *_):
        for name, text in self.before.items():
            change(self.env, name, text)


def warnings(env, statement, level=ConsistencyLevel.QUORUM, page=5000):
    future = node(env).execute_async(
        SimpleStatement(statement, consistency_level=level, fetch_size=page))
    future.result()
    return future.warnings or []


@behaviour
def more_replicas_than_there_are_nodes_are_warned_of(env):
    nodes = len(env.ring.addresses)
    name = f"{env.keyspace}_wide"
    datacenter = env.rows("SELECT data_center FROM system.local")[0][0]
    env.at_end(lambda: env.execute(f"DROP KEYSPACE IF EXISTS {name}"))

    def told(verb, replication):
        return warnings(env, f"{verb} KEYSPACE {name} WITH replication = {replication}")

    def text(factor, place=""):
        return [f"Your replication factor {factor} for keyspace {name} is higher than the number of nodes {nodes}{place}"]
    simple = "{{'class': 'SimpleStrategy', 'replication_factor': {}}}".format
    topology = ("{{'class': 'NetworkTopologyStrategy', '" + datacenter + "': {}}}").format
    equal(told("CREATE", simple(nodes + 1)), text(nodes + 1))
    equal(warnings(env, f"CREATE TABLE {name}.t (k int PRIMARY KEY)"), [])
    equal(told("ALTER", simple(nodes)), [])
    equal(told("ALTER", topology(nodes + 2)), text(nodes + 2, f" for datacenter {datacenter}"))
    equal(warnings(env, f"ALTER KEYSPACE {name} WITH durable_writes = true"), text(nodes + 2, f" for datacenter {datacenter}"))
    equal(told("ALTER", topology(nodes)), [])


def refused(env, phrase, statement, level=ConsistencyLevel.QUORUM, page=5000):
    return env.refused(
        InvalidRequest, phrase, lambda: node(env).execute(
            SimpleStatement(statement, consistency_level=level, fetch_size=page)))


def switched_off(name, guardrail, phrase, statement):
    """With the setting false the statement is refused, with it true it is not."""

    def check(env):
        text = statement.replace("$t", table(env))
        with setting(env, **{name: "false"}):
            refused(env, f"Guardrail {guardrail} violated: {phrase} is not allowed", text)
        node(env).execute(text)

    check.__name__ = name + "_off_refuses_" + guardrail
    return behaviour(check)


switched_off("allow_filtering_enabled", "allow_filtering", "Querying with ALLOW FILTERING",
             "SELECT * FROM $t WHERE v = 1 ALLOW FILTERING")
switched_off("group_by_enabled", "group_by", "GROUP BY functionality",
             "SELECT k, count(*) FROM $t WHERE k = 1 GROUP BY k")
switched_off("user_timestamps_enabled", "user_timestamps",
             "User provided timestamps (USING TIMESTAMP)",
             "INSERT INTO $t (k, c, v) VALUES (1, 1, 1) USING TIMESTAMP 1")
switched_off("drop_truncate_table_enabled", "drop_truncate_table_enabled",
             "DROP and TRUNCATE TABLE functionality", "TRUNCATE $t")
switched_off("alter_table_enabled", "alter_table",
             "User access to ALTER TABLE statement for column mutation",
             "ALTER TABLE $t ADD IF NOT EXISTS extra int")
switched_off("uncompressed_tables_enabled", "uncompressed_tables_enabled", "Uncompressed table",
             "CREATE TABLE IF NOT EXISTS plain (k int PRIMARY KEY) "
             "WITH compression = {'enabled': 'false'}")
switched_off("simplestrategy_enabled", "simplestrategy", "SimpleStrategy",
             "CREATE KEYSPACE IF NOT EXISTS guardrails_simple WITH replication = "
             "{'class': 'SimpleStrategy', 'replication_factor': 1}")
switched_off("drop_keyspace_enabled", "drop_keyspace_enabled", "DROP KEYSPACE functionality",
             "DROP KEYSPACE IF EXISTS guardrails_none")


@behaviour
def dropping_a_table_is_refused_with_truncation(env):
    name = env.table("k int PRIMARY KEY")
    with setting(env, drop_truncate_table_enabled="false"):
        refused(env, "Guardrail drop_truncate_table_enabled violated", f"DROP TABLE {name}")
    node(env).execute(f"DROP TABLE {name}")


@behaviour
def lists_by_index_are_refused_when_reads_before_writes_are_off(env):
    name = env.table("k int PRIMARY KEY, l list<int>")
    node(env).execute(f"INSERT INTO {name} (k, l) VALUES (1, [1, 2])")
    with setting(env, read_before_write_list_operations_enabled="false"):
        refused(
            env, "Guardrail read_before_write_list_operations violated: List operation requiring "
            "read before write is not allowed", f"UPDATE {name} SET l[0] = 3 WHERE k = 1")
        node(env).execute(f"UPDATE {name} SET l = l + [3] WHERE k = 1")


# Pages and keys


@behaviour
def a_large_page_is_warned_of(env):
    with setting(env, page_size_warn_threshold="100"):
        equal(warnings(env, f"SELECT * FROM {table(env)} WHERE k = 1", page=101), [
            f"Guardrail page_size violated: Query for table {table(env)} with page size 101 "
            "exceeds warning threshold of 100."])
        equal(warnings(env, f"SELECT * FROM {table(env)} WHERE k = 1", page=100), [])


@behaviour
def a_larger_page_is_refused(env):
    with setting(env, page_size_fail_threshold="100"):
        refused(
            env, f"Guardrail page_size violated: Aborting query for table {table(env)}, page size "
            "101 exceeds fail threshold of 100.", f"SELECT * FROM {table(env)}", page=101)


@behaviour
def many_partition_keys_are_warned_of(env):
    with setting(env, partition_keys_in_select_warn_threshold="2"):
        found = warnings(env, f"SELECT * FROM {table(env)} WHERE k IN (1, 2, 3)")
        equal(found, [
            "Guardrail partition_keys_in_select violated: Query with partition keys in IN clause on "
            f"table {table(env)}, with number of partition keys 3 exceeds warning threshold of 2."])


@behaviour
def more_partition_keys_are_refused(env):
    with setting(env, partition_keys_in_select_fail_threshold="2"):
        refused(
            env, "number of partition keys 3 exceeds fail threshold of 2.",
            f"SELECT * FROM {table(env)} WHERE k IN (1, 2, 3)")
        node(env).execute(f"SELECT * FROM {table(env)} WHERE k IN (1, 2)")


@behaviour
def a_cartesian_product_is_warned_of(env):
    with setting(env, in_select_cartesian_product_warn_threshold="2"):
        found = warnings(env, f"SELECT * FROM {table(env)} WHERE k = 1 AND c IN (1, 2, 3)")
        equal(found, [
            "Guardrail in_select_cartesian_product violated: The cartesian product of the IN "
            "restrictions on clustering key produces 3 values, this exceeds warning threshold of "
            "2."])


@behaviour
def a_larger_cartesian_product_is_refused(env):
    with setting(env, in_select_cartesian_product_fail_threshold="2"):
        refused(
            env, "Aborting query because the cartesian product of the IN restrictions on clustering "
            "key produces 3 values, this exceeds fail threshold of 2.",
            f"SELECT * FROM {table(env)} WHERE k = 1 AND c IN (1, 2, 3)")


# Consistency levels


@behaviour
def a_read_level_is_warned_of(env):
    with setting(env, read_consistency_levels_warned="ALL"):
        found = warnings(
            env, f"SELECT * FROM {table(env)} WHERE k = 1", level=ConsistencyLevel.ALL)
        equal(found, [
            "Guardrail read_consistency_levels violated: Provided values [ALL] are not recommended "
            "for read consistency levels (warned values are: [ALL])"])


@behaviour
def a_read_level_is_refused(env):
    with setting(env, read_consistency_levels_disallowed="ONE,ALL"):
        refused(
            env, "Guardrail read_consistency_levels violated: Provided values [ONE] are not allowed "
            "for read consistency levels (disallowed values are: [ONE, ALL])",
            f"SELECT * FROM {table(env)} WHERE k = 1", level=ConsistencyLevel.ONE)
        node(env).execute(f"SELECT * FROM {table(env)} WHERE k = 1")


@behaviour
def a_write_level_is_warned_of(env):
    with setting(env, write_consistency_levels_warned="ANY"):
        found = warnings(
            env, f"INSERT INTO {table(env)} (k, c, v) VALUES (1, 1, 1)",
            level=ConsistencyLevel.ANY)
        equal(found, [
            "Guardrail write_consistency_levels violated: Provided values [ANY] are not recommended "
            "for write consistency levels (warned values are: [ANY])"])


@behaviour
def a_write_level_is_refused(env):
    with setting(env, write_consistency_levels_disallowed="ANY"):
        refused(
            env, "Provided values [ANY] are not allowed for write consistency levels",
            f"INSERT INTO {table(env)} (k, c, v) VALUES (1, 1, 1)", level=ConsistencyLevel.ANY)


@behaviour
def a_refused_write_level_refuses_batches_too(env):
    with setting(env, write_consistency_levels_disallowed="ONE"):
        refused(
            env, "Provided values [ONE] are not allowed for write consistency levels",
            f"BEGIN BATCH INSERT INTO {table(env)} (k, c, v) VALUES (1, 1, 1); APPLY BATCH",
            level=ConsistencyLevel.ONE)


@behaviour
def system_tables_are_read_at_any_level(env):
    with setting(env, read_consistency_levels_disallowed="ONE"):
        node(env).execute(SimpleStatement(
            "SELECT * FROM system.local", consistency_level=ConsistencyLevel.ONE))


# Schema


def keyspace(name, factor):
    return (f"CREATE KEYSPACE {name} WITH replication = "
            f"{{'class': 'SimpleStrategy', 'replication_factor': {factor}}}")


@behaviour
def a_low_replication_factor_is_refused(env):
    with setting(env, minimum_replication_factor_fail_threshold="2"):
        refused(
            env, "Guardrail minimum_replication_factor violated: The keyspace guardrails_low has a "
            "replication factor of 1, below the failure threshold of 2.",
            keyspace("guardrails_low", 1))


@behaviour
def a_low_replication_factor_is_warned_of(env):
    node(env).execute("DROP KEYSPACE IF EXISTS guardrails_low")
    with setting(env, minimum_replication_factor_warn_threshold="2"):
        found = warnings(env, keyspace("guardrails_low", 1))
        equal(found, [
            "Guardrail minimum_replication_factor violated: The keyspace guardrails_low has a "
            "replication factor of 1, below the warning threshold of 2."])


@behaviour
def a_high_replication_factor_is_refused(env):
    with setting(env, maximum_replication_factor_fail_threshold="2"):
        refused(
            env, "Guardrail maximum_replication_factor violated: The keyspace guardrails_high has a "
            "replication factor of 3, above the failure threshold of 2.",
            keyspace("guardrails_high", 3))


@behaviour
def too_many_keyspaces_are_refused(env):
    with setting(env, keyspaces_fail_threshold="1"):
        refused(
            env, "Cannot have more than 1 keyspaces, aborting the creation of keyspace "
            "guardrails_many", keyspace("guardrails_many", 1))


@behaviour
def too_many_tables_are_refused(env):
    with setting(env, tables_fail_threshold="1"):
        refused(
            env, "Cannot have more than 1 tables, aborting the creation of table many",
            "CREATE TABLE many (k int PRIMARY KEY)")


@behaviour
def many_columns_are_warned_of(env):
    with setting(env, columns_per_table_warn_threshold="2"):
        found = warnings(env, "CREATE TABLE columns3 (k int PRIMARY KEY, a int, b int)")
        equal(found, [
            "Guardrail columns_per_table violated: The table columns3 has 3 columns, this exceeds "
            "the warning threshold of 2."])


@behaviour
def too_many_columns_are_refused(env):
    with setting(env, columns_per_table_fail_threshold="2"):
        refused(
            env, "Tables cannot have more than 2 columns, but 3 provided for table columns3b",
            "CREATE TABLE columns3b (k int PRIMARY KEY, a int, b int)")
        name = "columns2"
        node(env).execute(f"CREATE TABLE {name} (k int PRIMARY KEY, a int)")
        refused(env, "but 3 provided for table columns2", f"ALTER TABLE {name} ADD b int")


@behaviour
def too_many_fields_are_refused(env):
    with setting(env, fields_per_udt_fail_threshold="2"):
        refused(
            env, "User types cannot have more than 2 columns, but 3 provided for user type wide3.",
            "CREATE TYPE wide3 (a int, b int, c int)")


@behaviour
def table_properties_are_refused(env):
    with setting(env, table_properties_disallowed="gc_grace_seconds,comment"):
        refused(
            env, "Guardrail table_properties violated: Provided values [comment] are not allowed for "
            "Table Properties (disallowed values are: [gc_grace_seconds, comment])",
            "CREATE TABLE commented (k int PRIMARY KEY) WITH comment = 'a'")


@behaviour
def table_properties_are_warned_of(env):
    with setting(env, table_properties_warned="comment"):
        found = warnings(
            env, "CREATE TABLE commented2 (k int PRIMARY KEY) WITH comment = 'a'")
        true(any("are not recommended for Table Properties" in text for text in found), found)


# Aggregates


@behaviour
def an_aggregate_without_partition_key_is_warned_of(env):
    equal(warnings(env, f"SELECT count(*) FROM {table(env)}"), [
        "Aggregation query used without partition key"])


@behaviour
def an_aggregate_of_several_partitions_is_warned_of(env):
    equal(warnings(env, f"SELECT count(*) FROM {table(env)} WHERE k IN (1, 2)"), [
        "Aggregation query used on multiple partition keys (IN restriction)"])


@behaviour
def an_aggregate_of_one_partition_is_not_warned_of(env):
    equal(warnings(env, f"SELECT count(*) FROM {table(env)} WHERE k = 1"), [])


# Batches


def batch(env, kind, keys, size):
    inserts = "".join(
        f"INSERT INTO {env.shared('texts', lambda: env.table('k int PRIMARY KEY, t text'))} (k, t) "
        f"VALUES ({key}, '{'x' * size}'); " for key in range(keys))
    return f"BEGIN {kind} BATCH {inserts} APPLY BATCH"


@behaviour
def a_large_batch_is_warned_of(env):
    found = warnings(env, batch(env, "", 3, 2000))
    equal(len(found), 1)
    true("exceeding specified threshold of 5120 by" in found[0], found)


@behaviour
def a_larger_batch_is_refused(env):
    refused(env, "Batch too large", batch(env, "", 3, 20000))


@behaviour
def the_threshold_of_batches_may_be_changed(env):
    with setting(env, batch_size_warn_threshold="64KiB", batch_size_fail_threshold="128KiB"):
        equal(warnings(env, batch(env, "", 3, 20000)), [])


@behaviour
def an_unlogged_batch_of_many_partitions_is_warned_of(env):
    found = warnings(env, batch(env, "UNLOGGED", 11, 1))
    equal(len(found), 1)
    true("Unlogged batch covering 11 partitions detected against table" in found[0], found)


@behaviour
def an_unlogged_batch_of_ten_partitions_is_not_warned_of(env):
    equal(warnings(env, batch(env, "UNLOGGED", 10, 1)), [])


# Tombstones


def deleted(env):
    """A partition with 1,500 deleted rows."""

    def make():
        name = env.table("k int, c int, v int, PRIMARY KEY (k, c)")
        insert = env.session.prepare(f"DELETE FROM {name} WHERE k = 1 AND c = ?")
        futures = [env.session.execute_async(insert, (c,)) for c in range(1500)]
        for future in futures:
            future.result()
        return name

    return env.shared("deleted", make)


@behaviour
def a_read_behind_many_tombstones_is_warned_of(env):
    found = warnings(env, f"SELECT * FROM {deleted(env)} WHERE k = 1", ConsistencyLevel.ALL)
    equal(len(found), 1)
    true("scanned up to 1500 tombstones and issued tombstone warnings for query SELECT" in found[0],
         found)
    true("(see tombstone_warn_threshold)" in found[0], found)


@behaviour
def a_read_behind_few_tombstones_is_not_warned_of(env):
    equal(warnings(env, f"SELECT * FROM {deleted(env)} WHERE k = 1 AND c < 900",
                   ConsistencyLevel.ONE), [])


@behaviour
def a_read_behind_too_many_tombstones_fails_with_their_reason(env):
    for number in env.nodes():
        env.only(number).execute(
            "UPDATE system_views.settings SET value = '1200' "
            "WHERE name = 'tombstone_failure_threshold'")
    try:
        error = env.refused(ReadFailure, "", lambda: node(env).execute(SimpleStatement(
            f"SELECT * FROM {deleted(env)} WHERE k = 1",
            consistency_level=ConsistencyLevel.ALL)))
        codes = set((error.error_code_map or {}).values())
        equal(codes, {1})
        equal(len(list(node(env).execute(
            f"SELECT * FROM {deleted(env)} WHERE k = 1 AND c < 1000"))), 0)
    finally:
        for number in env.nodes():
            env.only(number).execute(
                "UPDATE system_views.settings SET value = '100000' "
                "WHERE name = 'tombstone_failure_threshold'")


@behaviour
def a_scan_behind_too_many_tombstones_fails_too(env):
    for number in env.nodes():
        env.only(number).execute(
            "UPDATE system_views.settings SET value = '1200' "
            "WHERE name = 'tombstone_failure_threshold'")
    try:
        error = env.refused(ReadFailure, "", lambda: node(env).execute(SimpleStatement(
            f"SELECT * FROM {deleted(env)}", consistency_level=ConsistencyLevel.ONE)))
        true(1 in set((error.error_code_map or {}).values()), error.error_code_map)
    finally:
        for number in env.nodes():
            env.only(number).execute(
                "UPDATE system_views.settings SET value = '100000' "
                "WHERE name = 'tombstone_failure_threshold'")


class TombstonePages:
    """The setting `query_tombstone_page_limit` at every node, put back at the end."""

    def __init__(self, env, limit):
        self.env, self.limit = env, limit

    def put(self, value):
        for number in self.env.nodes():
            self.env.only(number).execute(
                "UPDATE system_views.settings SET value = %s WHERE name = 'query_tombstone_page_limit'", (value,))

    def __enter__(self):
        self.put(str(self.limit))

    def __exit__(self, *_):
        self.put("10000")


def pages(env, statement, size, level=ConsistencyLevel.ALL):
    """The rows of each page."""
    result = node(env).execute(SimpleStatement(statement, fetch_size=size, consistency_level=level))
    found = [list(result.current_rows)]
    while result.has_more_pages:
        result.fetch_next_page()
        found.append(list(result.current_rows))
    return found


@behaviour
def a_page_behind_many_tombstones_may_be_empty_and_the_next_ones_follow(env):
    name = deleted(env)
    env.session.execute(f"INSERT INTO {name} (k, c, v) VALUES (1, 2000, 7)")
    with TombstonePages(env, 400):
        for level in [ConsistencyLevel.ONE, ConsistencyLevel.ALL]:
            for where in ["WHERE k = 1", "", "WHERE k IN (1, 2, 3)"]:
                found = pages(env, f"SELECT c, v FROM {name} {where}", 100, level)
                equal([row for page in found for row in page], [(2000, 7)], where)
                true(4 <= len(found) <= 5 and not found[0], (where, found))
    equal(len(pages(env, f"SELECT c, v FROM {name} WHERE k = 1", 100)), 1)


@behaviour
def what_is_not_paged_goes_on_behind_tombstones(env):
    name = deleted(env)
    with TombstonePages(env, 400):
        for statement in [f"SELECT count(*) FROM {name}", f"SELECT k, count(*) FROM {name} GROUP BY k"]:
            equal(len(pages(env, statement, 100)), 1, statement)
        equal(len(pages(env, f"SELECT c FROM {name} WHERE k = 1", None)), 1)
        equal(len(pages(env, f"SELECT c FROM {name} WHERE k = 1", 100, ConsistencyLevel.SERIAL)), 1)


@behaviour
def empty_pages_lose_no_static_row(env):
    name = env.table("k int, c int, s int static, v int, PRIMARY KEY (k, c)")
    session = env.session
    for k in range(6):
        if k % 2:
            session.execute(f"INSERT INTO {name} (k, s) VALUES ({k}, {k})")
        for c in range(30):
            session.execute(f"DELETE FROM {name} WHERE k = {k} AND c = {c}")
        if k % 3 == 0:
            session.execute(f"INSERT INTO {name} (k, c, v) VALUES ({k}, 25, {k})")
    with TombstonePages(env, 10):
        for where in ["", "WHERE k IN (0, 1, 2, 3, 4, 5)"]:
            found = pages(env, f"SELECT k, c, s, v FROM {name} {where}", 100)
            equal(sorted((row for page in found for row in page), key=lambda row: row[0]),
                  [(0, 25, None, 0), (1, None, 1, None), (3, 25, 3, 3), (5, None, 5, None)], where)
            true(len(found) > 10 and [] in found, found)
        found = pages(env, f"SELECT DISTINCT k, s FROM {name}", 100)
        equal(sorted(row for page in found for row in page if row[1]), [(1, 1), (3, 3), (5, 5)])
        found = pages(env, f"SELECT c FROM {name} WHERE k = 3 ORDER BY c DESC", 100)
        equal([row for page in found for row in page], [(25,)])


@behaviour
def a_limit_of_no_tombstones_lets_pages_be_full(env):
    with TombstonePages(env, 0):
        equal(len(pages(env, f"SELECT c FROM {deleted(env)} WHERE k = 1 AND c < 1500", 100)), 1)


# Bytes under way


def flood(env, count, **options):
    """Sends so many large writes at once, and gives the answers' frames."""
    name = env.shared("texts", lambda: env.table("k int PRIMARY KEY, t text"))
    with Wire(env.ring.addresses[0], env.ring.port, version=4) as wire:
        wire.start(**options)
        data = b""
        for stream in range(count):
            text = (f"INSERT INTO {env.keyspace}.{name} (k, t) "
                    f"VALUES ({stream}, '{'x' * 2000}')")
            data += wire.frame(QUERY, wire.query_body(text, consistency=5), stream=stream)
        wire.raw(data)
        return [wire.receive() for _ in range(count)]


@behaviour
def a_client_that_asked_for_it_is_refused_when_too_much_is_under_way(env):
    with setting(env, native_transport_max_request_data_in_flight="4KiB"):
        frames = flood(env, 12, THROW_ON_OVERLOAD="1")
    refusals = [frame.error for frame in frames if frame.opcode == ERROR]
    true(0 < len(refusals) < 12, f"{len(refusals)} of 12 were refused")
    equal(set(refusals), {(
        0x1001, "Server is in overloaded state. Cannot accept more requests at this point")})
    asserted_refusal("Server is in overloaded state")


@behaviour
def a_client_that_did_not_ask_waits_instead(env):
    with setting(env, native_transport_max_request_data_in_flight="4KiB"):
        frames = flood(env, 40)
    equal({frame.opcode for frame in frames}, {RESULT})


@behaviour
def one_address_is_bounded_by_itself(env):
    with setting(env, native_transport_max_request_data_in_flight_per_ip="4KiB"):
        frames = flood(env, 12, THROW_ON_OVERLOAD="1")
        equal({frame.opcode for frame in frames}, {RESULT, ERROR})
        equal({frame.opcode for frame in flood(env, 40)}, {RESULT})


@behaviour
def a_request_that_is_alone_is_taken_however_large(env):
    with setting(env, native_transport_max_request_data_in_flight="1KiB"):
        equal({frame.opcode for frame in flood(env, 1, THROW_ON_OVERLOAD="1")}, {RESULT})
