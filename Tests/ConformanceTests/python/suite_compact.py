"""COMPACT STORAGE as Cassandra 5.0 has it: what its CompactStorageTest expects, and how drivers see such tables."""

from cassandra import InvalidRequest
from cassandra.query import SimpleStatement

from harness import behaviour, equal, refusals, true

STATIC = "k text PRIMARY KEY, v1 int, v2 text"
DENSE = "pk int, c int, value int, PRIMARY KEY (pk, c)"
COMPOUND = "pk int, c1 int, c2 int, value int, PRIMARY KEY (pk, c1, c2)"
KEYS_ONLY = "a int, b int, PRIMARY KEY (a, b)"


def table(env, columns, more=""):
    return env.table(columns, "WITH COMPACT STORAGE" + more)


# Without clustering columns

@behaviour
def a_table_without_clustering_columns_has_rows_of_its_columns(env):
    name = table(env, STATIC)
    for k, v1, v2 in [("first", 1, "value1"), ("second", 2, "value2"), ("third", 3, "value3")]:
        env.execute(f"INSERT INTO {name} (k, v1, v2) VALUES (%s, %s, %s)", (k, v1, v2))
    equal(env.rows(f"SELECT * FROM {name} WHERE k = 'first'"), [("first", 1, "value1")])
    equal(env.rows(f"SELECT v2 FROM {name} WHERE k = 'second'"), [("value2",)])
    equal(env.rows(f"SELECT * FROM {name}"),
          [("third", 3, "value3"), ("second", 2, "value2"), ("first", 1, "value1")])
    equal(env.rows(f"SELECT count(*) FROM {name}"), [(3,)])
    equal(env.rows(f"SELECT k FROM {name} WHERE v1 >= 2 ALLOW FILTERING"), [("third",), ("second",)])
    equal(env.rows(f"SELECT v1 FROM {name} WHERE token(k) > token('third') AND v1 = 1 ALLOW FILTERING"), [(1,)])
    equal(env.rows(f"SELECT JSON * FROM {name} WHERE k = 'first'"), [('{"k": "first", "v1": 1, "v2": "value1"}',)])
    result = env.execute(SimpleStatement(f"SELECT k FROM {name}", fetch_size=1))
    equal([row[0] for row in result], ["third", "second", "first"])


@behaviour
def a_row_lives_by_its_cells(env):
    name = table(env, STATIC)
    env.execute(f"INSERT INTO {name} (k, v1, v2) VALUES ('a', 1, null)")
    equal(env.rows(f"SELECT * FROM {name}"), [("a", 1, None)])
    env.execute(f"UPDATE {name} SET v1 = null WHERE k = 'a'")
    equal(env.rows(f"SELECT * FROM {name}"), [])
    env.execute(f"INSERT INTO {name} JSON '{{\"k\": \"b\", \"v2\": \"x\"}}'")
    equal(env.rows(f"SELECT * FROM {name}"), [("b", None, "x")])
    env.execute(f"DELETE v2 FROM {name} WHERE k = 'b'")
    equal(env.rows(f"SELECT * FROM {name}"), [])
    env.execute(f"UPDATE {name} SET v1 = 3 WHERE k = 'c'")
    env.execute(f"DELETE FROM {name} WHERE k = 'c'")
    equal(env.rows(f"SELECT * FROM {name}"), [])


@behaviour
def conditions_hold_of_rows_without_markers(env):
    name = table(env, STATIC)
    equal(env.rows(f"INSERT INTO {name} (k, v1) VALUES ('a', 1) IF NOT EXISTS"), [(True,)])
    equal(env.rows(f"INSERT INTO {name} (k, v1) VALUES ('a', 2) IF NOT EXISTS"), [(False, "a", 1, None)])
    equal(env.rows(f"UPDATE {name} SET v2 = 'x' WHERE k = 'a' IF v1 = 1"), [(True,)])
    equal(env.rows(f"UPDATE {name} SET v2 = 'y' WHERE k = 'a' IF v1 = 2"), [(False, 1)])
    equal(env.rows(f"UPDATE {name} SET v2 = 'y' WHERE k = 'none' IF EXISTS"), [(False,)])
    equal(env.rows(f"SELECT * FROM {name}"), [("a", 1, "x")])


@behaviour
def counters_of_a_table_without_clustering_columns_count(env):
    name = table(env, "k int PRIMARY KEY, a counter")
    for k in range(4):
        env.execute(f"UPDATE {name} SET a = a + %s WHERE k = %s", (k, k))
    equal(sorted(env.rows(f"SELECT * FROM {name} WHERE a > 1 ALLOW FILTERING")), [(2, 2), (3, 3)])


# With clustering columns

@behaviour
def a_dense_table_has_one_value_for_each_row(env):
    name = table(env, DENSE)
    for c in range(4):
        env.execute(f"INSERT INTO {name} (pk, c, value) VALUES (0, {c}, {c})")
    env.execute(f"UPDATE {name} SET value = 7 WHERE pk = 0 AND c = 1")
    equal(env.rows(f"SELECT * FROM {name} WHERE pk = 0"), [(0, 0, 0), (0, 1, 7), (0, 2, 2), (0, 3, 3)])
    env.execute(f"UPDATE {name} SET value = null WHERE pk = 0 AND c = 0")
    equal(env.rows(f"SELECT * FROM {name} WHERE pk = 0 AND (c) IN ((0), (1))"), [(0, 1, 7)])
    equal(env.rows(f"SELECT c FROM {name} WHERE pk = 0 AND c > 1 ORDER BY c DESC"), [(3,), (2,)])
    env.execute(f"DELETE FROM {name} WHERE pk = 0 AND c >= 2")
    equal(env.rows(f"SELECT c, value FROM {name}"), [(1, 7)])
    prepared = env.session.prepare(f"INSERT INTO {name} (pk, c, value) VALUES (?, ?, ?)")
    env.execute(prepared, (5, 6, None))
    env.execute(prepared, (5, 7, 8))
    equal(env.rows(f"SELECT * FROM {name} WHERE pk = 5"), [(5, 7, 8)])


@behaviour
def a_dense_table_may_have_keys_only(env):
    name = table(env, KEYS_ONLY, " AND CLUSTERING ORDER BY (b DESC)")
    for b in [2, 3]:
        env.execute(f"INSERT INTO {name} (a, b) VALUES (1, {b})")
    equal(env.rows(f"SELECT * FROM {name} WHERE a = 1 AND b > 0"), [(1, 3), (1, 2)])
    equal(env.execute(f"SELECT * FROM {name}").column_names, ["a", "b"])
    env.execute(f"DELETE FROM {name} WHERE a = 1 AND b = 3")
    equal(env.rows(f"SELECT * FROM {name}"), [(1, 2)])
    env.execute(f"INSERT INTO {name} (a, b) VALUES (4, 4) USING TTL 1000")
    equal(env.rows(f"SELECT a FROM {name} WHERE a = 4"), [(4,)])


@behaviour
def a_row_may_have_fewer_clustering_values(env):
    name = table(env, COMPOUND)
    env.execute(f"INSERT INTO {name} (pk, c1, value) VALUES (0, 0, 100)")
    env.execute(f"INSERT INTO {name} (pk, c1, c2, value) VALUES (0, 0, 0, 1)")
    env.execute(f"UPDATE {name} SET value = 200 WHERE pk = 0 AND c1 = 1")
    shown = [(0, 0, None, 100), (0, 0, 0, 1), (0, 1, None, 200)]
    equal(env.rows(f"SELECT * FROM {name}"), shown)
    equal(env.rows(f"SELECT * FROM {name} WHERE pk = 0 AND c1 = 0 AND c2 >= 0"), shown[1:2])
    equal(env.rows(f"SELECT * FROM {name} WHERE pk = 0 AND c1 = 0"), shown[:2])
    equal(env.rows(f"SELECT * FROM {name} WHERE pk = 0 ORDER BY c1 DESC"), shown[::-1])
    result = env.execute(SimpleStatement(f"SELECT * FROM {name} WHERE pk = 0", fetch_size=1))
    equal(list(result), shown)
    code, _, errors = env.ring.admin("flush", env.keyspace, name, node=1)
    equal(code, 0, errors)
    equal(env.rows(f"SELECT * FROM {name}"), shown)
    env.execute(f"DELETE FROM {name} WHERE pk = 0 AND c1 = 0")
    equal(env.rows(f"SELECT * FROM {name}"), shown[2:])


@behaviour
def empty_clustering_values_are_those_of_several_columns_only(env):
    name = table(env, "pk blob, c1 blob, c2 blob, v blob, PRIMARY KEY (pk, c1, c2)")
    env.execute(f"INSERT INTO {name} (pk, c1, c2, v) VALUES (0x01, 0x, 0x02, 0x03)")
    equal(env.rows(f"SELECT * FROM {name} WHERE pk = 0x01 AND c1 = 0x"), [(b"\x01", b"", b"\x02", b"\x03")])
    name = table(env, "pk blob, c blob, v blob, PRIMARY KEY (pk, c)")
    for values in ["(0x01, 0x, 0x04)", "(%s, %s, %s)"]:
        env.refused(InvalidRequest, "Invalid empty or null value for column c", lambda: env.execute(
            f"INSERT INTO {name} (pk, c, v) VALUES {values}", (b"1", b"", b"4") if "%" in values else None))
    equal(env.rows(f"SELECT * FROM {name} WHERE pk = 0x01 AND c >= 0x"), [])


@behaviour
def counters_of_a_dense_table_count(env):
    name = table(env, "userid int, url text, total counter, PRIMARY KEY (userid, url)")
    for delta in [1, -4, 1]:
        env.execute(f"UPDATE {name} SET total = total + {delta} WHERE userid = 1 AND url = 'x'")
    equal(env.rows(f"SELECT * FROM {name}"), [(1, "x", -2)])


# The schema

def shape(env, name):
    """How the driver reads it, and what is in system_schema."""
    flags = env.rows(f"SELECT flags FROM system_schema.tables WHERE keyspace_name = '{env.keyspace}' "
                     f"AND table_name = '{name}'")[0][0]
    columns = env.rows(f"SELECT column_name, kind, type FROM system_schema.columns WHERE keyspace_name = "
                       f"'{env.keyspace}' AND table_name = '{name}'")
    cluster = env.cluster()
    cluster.connect()
    return set(flags or ()), columns, cluster.metadata.keyspaces[env.keyspace].tables[name]


@behaviour
def drivers_see_compact_tables(env):
    flags, columns, seen = shape(env, table(env, STATIC))
    equal(flags, set())
    equal(columns, [("column1", "clustering", "text"), ("k", "partition_key", "text"), ("v1", "static", "int"),
                    ("v2", "static", "text"), ("value", "regular", "blob")])
    true(seen.is_compact_storage, "the driver sees COMPACT STORAGE")
    equal(list(seen.columns), ["k", "v1", "v2"])
    flags, columns, seen = shape(env, table(env, DENSE))
    equal(flags, {"dense"})
    true(seen.is_compact_storage and list(seen.columns) == ["pk", "c", "value"], list(seen.columns))
    flags, columns, seen = shape(env, table(env, KEYS_ONLY))
    equal(columns[2], ("value", "regular", "empty"))
    true(seen.is_compact_storage and "value" not in seen.columns, list(seen.columns))
    flags, columns, seen = shape(env, table(env, "a int, b text, c text, n counter, PRIMARY KEY (a, b, c)"))
    equal(flags, {"compound", "counter", "dense"})
    flags, columns, seen = shape(env, env.table("k int PRIMARY KEY, v int"))
    equal((flags, seen.is_compact_storage), ({"compound"}, False))


@behaviour
def DESCRIBE_shows_compact_storage_and_makes_it_again(env):
    for columns, key in [(STATIC, "k text PRIMARY KEY"), (DENSE, "PRIMARY KEY (pk, c)"),
                         (KEYS_ONLY, "PRIMARY KEY (a, b)"), (COMPOUND, "PRIMARY KEY (pk, c1, c2)")]:
        name = table(env, columns)
        text = env.rows(f"DESCRIBE TABLE {name}")[0][3]
        true(") WITH COMPACT STORAGE\n    AND " in text and key in text and "column1" not in text
             and "static" not in text, text)
        internal = env.rows(f"DESCRIBE TABLE {name} WITH INTERNALS")[0][3]
        true(") WITH COMPACT STORAGE\n    AND ID = " in internal, internal)
        env.execute(f"DROP TABLE {name}")
        env.execute(internal)
        equal(env.rows(f"DESCRIBE TABLE {name} WITH INTERNALS")[0][3], internal)


@behaviour
def names_of_hidden_columns_give_way(env):
    name = table(env, "a int PRIMARY KEY, b int, column1 int, value int")
    env.execute(f"INSERT INTO {name} (a, b, column1, value) VALUES (1, 2, 3, 4)")
    equal(env.rows(f"SELECT * FROM {name}"), [(1, 2, 3, 4)])
    for hidden in ["column2", "value1"]:
        env.refused(InvalidRequest, f"Undefined column name {hidden}",
                    lambda: env.execute(f"SELECT {hidden} FROM {name}"))


@behaviour
def a_column_of_a_table_without_clustering_columns_can_be_dropped(env):
    name = table(env, STATIC)
    env.execute(f"INSERT INTO {name} (k, v1, v2) VALUES ('a', 1, 'x')")
    env.execute(f"ALTER TABLE {name} DROP v2")
    equal(env.rows(f"SELECT * FROM {name}"), [("a", 1)])


@behaviour
def compact_storage_can_be_dropped_where_that_is_enabled(env):
    static, dense = table(env, STATIC), table(env, DENSE)
    env.execute(f"INSERT INTO {static} (k, v1, v2) VALUES ('5', 50, 'x')")
    env.execute(f"INSERT INTO {dense} (pk, c, value) VALUES (1, 2, 3)")
    for name in [static, dense]:
        env.refused(InvalidRequest, "DROP COMPACT STORAGE is disabled. Enable in cassandra.yaml to use.",
                    lambda: env.execute(f"ALTER TABLE {name} DROP COMPACT STORAGE"))
    for node in env.nodes():
        env.only(node).execute(
            "UPDATE system_views.settings SET value = 'true' WHERE name = 'drop_compact_storage_enabled'")
    try:
        for name in [static, dense]:
            env.execute(f"ALTER TABLE {name} DROP COMPACT STORAGE")
            env.refused(InvalidRequest, "Cannot DROP COMPACT STORAGE on table without COMPACT STORAGE",
                        lambda: env.execute(f"ALTER TABLE {name} DROP COMPACT STORAGE"))
    finally:
        for node in env.nodes():
            env.only(node).execute(
                "UPDATE system_views.settings SET value = 'false' WHERE name = 'drop_compact_storage_enabled'")
    equal(env.execute(f"SELECT * FROM {static}").column_names, ["k", "column1", "v1", "v2", "value"])
    equal(env.rows(f"SELECT * FROM {static}"), [("5", None, 50, "x", None)])
    equal(env.rows(f"SELECT * FROM {dense}"), [(1, 2, 3)])
    env.execute(f"INSERT INTO {dense} (pk, c) VALUES (1, 3)")
    equal(env.rows(f"SELECT * FROM {dense}"), [(1, 2, 3), (1, 3, None)])


@behaviour
def a_guardrail_refuses_compact_storage(env):
    for node in env.nodes():
        env.only(node).execute(
            "UPDATE system_views.settings SET value = 'false' WHERE name = 'compact_tables_enabled'")
    try:
        env.refused(InvalidRequest, "Guardrail compact_tables_enabled violated: Creation of new COMPACT STORAGE "
                    "tables is not allowed", lambda: table(env, STATIC))
    finally:
        for node in env.nodes():
            env.only(node).execute(
                "UPDATE system_views.settings SET value = 'true' WHERE name = 'compact_tables_enabled'")


@behaviour
def a_client_that_wants_no_compact_storage_is_refused_these_tables(env):
    name = table(env, STATIC)
    cluster = env.cluster(no_compact=True, schema_metadata_enabled=False)
    session = cluster.connect(env.keyspace)
    env.refused(InvalidRequest, "the option NO_COMPACT is not supported by Coterie for it",
                lambda: session.execute(f"SELECT * FROM {name}"))
    equal(len(list(session.execute("SELECT key FROM system.local"))), 1)


def names(env):
    def make():
        return {"static": table(env, STATIC), "dense": table(env, DENSE), "compound": table(env, COMPOUND),
                "keys": table(env, KEYS_ONLY)}

    return env.shared("names", make)


def invalid(name, statement, phrase):
    return name, statement, InvalidRequest, phrase


refusals([
    invalid("compact storage of lists", "CREATE TABLE x (k int PRIMARY KEY, l list<int>) WITH COMPACT STORAGE",
            "Non-frozen collections and UDTs are not supported with COMPACT STORAGE"),
    invalid("compact storage of static columns",
            "CREATE TABLE x (k int, c int, s int static, PRIMARY KEY (k, c)) WITH COMPACT STORAGE",
            "Static columns are not supported in COMPACT STORAGE tables"),
    invalid("compact storage of a key alone", "CREATE TABLE x (k int PRIMARY KEY) WITH COMPACT STORAGE",
            "No definition found that is not part of the PRIMARY KEY"),
    invalid("compact storage of two values",
            "CREATE TABLE x (k int, c int, b int, a int, PRIMARY KEY (k, c)) WITH COMPACT STORAGE",
            "COMPACT STORAGE with composite PRIMARY KEY allows no more than one column not part of the PRIMARY KEY "
            "(got: a, b)"),
    invalid("adding a column to compact storage", "ALTER TABLE $static ADD v3 int",
            "Cannot add new column to a COMPACT STORAGE table"),
    invalid("dropping the value of compact storage", "ALTER TABLE $dense DROP value",
            "Cannot drop the value column of a COMPACT STORAGE table"),
    invalid("renaming a hidden column", "ALTER TABLE $static RENAME column1 TO column2",
            "Undefined column name column1 in table"),
    invalid("selecting a hidden clustering column", "SELECT column1 FROM $static",
            "Undefined column name column1 in table"),
    invalid("selecting a hidden value", "SELECT writetime(value) FROM $keys", "Undefined column name value in table"),
    invalid("restricting a hidden column", "SELECT * FROM $static WHERE column1 = 'a' ALLOW FILTERING",
            "Undefined column name column1"),
    invalid("inserting into a hidden column", "INSERT INTO $static (k, column1) VALUES ('a', 'b')",
            "Undefined column name column1"),
    invalid("updating a hidden column", "UPDATE $keys SET value = 1 WHERE a = 1 AND b = 2",
            "Undefined column name value"),
    invalid("deleting a hidden column", "DELETE value FROM $static WHERE k = 'a'", "Undefined column name value"),
    invalid("inserting without the value of compact storage", "INSERT INTO $dense (pk, c) VALUES (1, 2)",
            "Column value is mandatory for this COMPACT STORAGE table"),
    invalid("inserting a row of a compact table without a clustering value", "INSERT INTO $dense (pk, value) VALUES (1, 2)",
            "Some clustering keys are missing: c"),
    invalid("updating a row of a compact table without clustering values", "UPDATE $compound SET value = 1 WHERE pk = 1",
            "Some clustering keys are missing: c1, c2"),
    invalid("inserting a row of a compact table without its first clustering value",
            "INSERT INTO $compound (pk, c2, value) VALUES (1, 2, 3)",
            'PRIMARY KEY column "c2" cannot be restricted as preceding column "c1" is not restricted'),
    invalid("updating a row of a compact table without its first clustering value",
            "UPDATE $compound SET value = 1 WHERE pk = 1 AND c2 = 2",
            'PRIMARY KEY column "c2" cannot be restricted as preceding column "c1" is not restricted'),
    invalid("dropping compact storage", "ALTER TABLE $static DROP COMPACT STORAGE", "DROP COMPACT STORAGE is disabled"),
], names)
