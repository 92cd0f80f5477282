"""Changing the schema: keyspaces, tables, columns, types."""

from cassandra import AlreadyExists, ConsistencyLevel, InvalidRequest, Unauthorized
from cassandra.protocol import ConfigurationException, SyntaxException
from cassandra.query import SimpleStatement

from harness import behaviour, equal, eventually, needs, refusals, true

SIMPLE = "{'class': 'SimpleStrategy', 'replication_factor': 1}"


def names(env):
    """Names that the refusals use: a table, a static one, a type and the keyspace."""
    def make():
        table = env.table("a int, b int, v text, PRIMARY KEY (a, b)")
        env.execute("CREATE TYPE used_type (x int, y text)")
        holder = env.table("k int PRIMARY KEY, u frozen<used_type>, w used_type")
        return {"table": table, "holder": holder, "keyspace": env.keyspace}
    return env.shared("names", make)


refusals([
    ("a syntax error names line and column", "CREATE TABEL x (k int PRIMARY KEY)",
     SyntaxException, "line 1:7"),
    ("an unfinished statement", "CREATE TABLE x (k int PRIMARY KEY",
     SyntaxException, "line 1:33"),
    ("text after the statement", "CREATE TABLE x (k int PRIMARY KEY) x",
     SyntaxException, "line 1:35"),
    ("a string without end", "CREATE TABLE x (k int PRIMARY KEY) WITH comment = 'no end",
     SyntaxException, "line 1:"),
    ("a reserved word as a name", "CREATE TABLE select (k int PRIMARY KEY)",
     SyntaxException, "line 1:13"),
    ("an existing keyspace", f"CREATE KEYSPACE $keyspace WITH replication = {SIMPLE}",
     AlreadyExists, "$keyspace"),
    ("an existing table", "CREATE TABLE $table (k int PRIMARY KEY)",
     AlreadyExists, "$table"),
    ("a keyspace without replication", "CREATE KEYSPACE refused_1 WITH durable_writes = true",
     ConfigurationException, "replication"),
    ("a keyspace without a strategy class",
     "CREATE KEYSPACE refused_1 WITH replication = {'replication_factor': 1}",
     ConfigurationException, "class"),
    ("an unknown strategy",
     "CREATE KEYSPACE refused_1 WITH replication = {'class': 'NoStrategy', 'replication_factor': 1}",
     ConfigurationException, "Unable to find replication strategy class"),
    ("a replication factor that is no number",
     "CREATE KEYSPACE refused_1 WITH replication = "
     "{'class': 'SimpleStrategy', 'replication_factor': 'many'}",
     ConfigurationException, "Replication factor must be numeric"),
    ("an unknown datacenter",
     "CREATE KEYSPACE refused_1 WITH replication = {'class': 'NetworkTopologyStrategy', 'moon': 1}",
     ConfigurationException, "moon"),
    ("an unknown option of a strategy",
     "CREATE KEYSPACE refused_1 WITH replication = "
     "{'class': 'SimpleStrategy', 'replication_factor': 1, 'colour': 'red'}",
     ConfigurationException, "colour"),
    ("a bad keyspace name", f"CREATE KEYSPACE \"a-b\" WITH replication = {SIMPLE}",
     InvalidRequest, "a-b"),
    ("altering an unknown keyspace", f"ALTER KEYSPACE nowhere WITH replication = {SIMPLE}",
     InvalidRequest, "nowhere"),
    ("dropping an unknown keyspace", "DROP KEYSPACE nowhere",
     InvalidRequest, "nowhere"),
    ("using an unknown keyspace", "USE nowhere",
     InvalidRequest, "Keyspace 'nowhere' does not exist"),
    ("changing a system keyspace", "CREATE TABLE system.mine (k int PRIMARY KEY)",
     (InvalidRequest, Unauthorized), "system"),
    ("dropping a system table", "DROP TABLE system_schema.tables",
     (InvalidRequest, Unauthorized), "system_schema"),
    ("a table in an unknown keyspace", "CREATE TABLE nowhere.t (k int PRIMARY KEY)",
     InvalidRequest, "nowhere"),
    ("a table without a primary key", "CREATE TABLE refused (k int, v int)",
     InvalidRequest, "No PRIMARY KEY specifed"),
    ("two primary keys", "CREATE TABLE refused (k int PRIMARY KEY, j int PRIMARY KEY)",
     InvalidRequest, "Multiple PRIMARY KEY"),
    ("an unknown key column", "CREATE TABLE refused (k int, PRIMARY KEY (k, other))",
     InvalidRequest, "other"),
    ("a key column twice", "CREATE TABLE refused (k int, v int, PRIMARY KEY (k, k))",
     InvalidRequest, "k"),
    ("a column twice", "CREATE TABLE refused (k int PRIMARY KEY, v int, v text)",
     InvalidRequest, "Duplicate column 'v'"),
    ("an unknown type", "CREATE TABLE refused (k int PRIMARY KEY, v no_such_type)",
     InvalidRequest, "Unknown type"),
    ("a static column without clustering columns",
     "CREATE TABLE refused (k int PRIMARY KEY, s int static)",
     InvalidRequest, "Static columns are only useful"),
    ("a static key column", "CREATE TABLE refused (k int static, c int, PRIMARY KEY (k, c))",
     InvalidRequest, "k"),
    ("a duration in the key", "CREATE TABLE refused (k duration PRIMARY KEY)",
     InvalidRequest, "duration type is not supported for PRIMARY KEY"),
    ("a duration as a clustering column",
     "CREATE TABLE refused (k int, c duration, PRIMARY KEY (k, c))",
     InvalidRequest, "duration type is not supported for PRIMARY KEY"),
    ("a counter in the key", "CREATE TABLE refused (k counter PRIMARY KEY)",
     InvalidRequest, "counter type is not supported for PRIMARY KEY"),
    ("a collection in the key", "CREATE TABLE refused (k list<int> PRIMARY KEY)",
     InvalidRequest, "non-frozen collection"),
    ("counters beside other columns",
     "CREATE TABLE refused (k int PRIMARY KEY, n counter, v int)",
     InvalidRequest, "Cannot mix counter and non counter columns"),
    ("a nested collection that is not frozen",
     "CREATE TABLE refused (k int PRIMARY KEY, v list<set<int>>)",
     InvalidRequest, "Non-frozen collections are not allowed inside collections"),
    ("frozen of a scalar", "CREATE TABLE refused (k int PRIMARY KEY, v frozen<int>)",
     InvalidRequest, "frozen<> is only allowed on collections, tuples, and user-defined types"),
    ("an order of a column that does not cluster",
     "CREATE TABLE refused (k int, c int, v int, PRIMARY KEY (k, c)) "
     "WITH CLUSTERING ORDER BY (c ASC, v ASC)",
     InvalidRequest, "Only clustering columns can be defined in CLUSTERING ORDER directive"),
    ("an order that skips a column",
     "CREATE TABLE refused (k int, c int, d int, PRIMARY KEY (k, c, d)) "
     "WITH CLUSTERING ORDER BY (d ASC)",
     InvalidRequest, "Missing CLUSTERING ORDER for column c"),
    ("an order of columns in another order",
     "CREATE TABLE refused (k int, c int, d int, PRIMARY KEY (k, c, d)) "
     "WITH CLUSTERING ORDER BY (d ASC, c ASC)",
     InvalidRequest, "c must appear before d"),
    ("an unknown table option", "CREATE TABLE refused (k int PRIMARY KEY) WITH colour = 'red'",
     SyntaxException, "colour"),
    ("a bad chance of false positives",
     "CREATE TABLE refused (k int PRIMARY KEY) WITH bloom_filter_fp_chance = 2.0",
     ConfigurationException, "bloom_filter_fp_chance"),
    ("an unknown compaction strategy",
     "CREATE TABLE refused (k int PRIMARY KEY) WITH compaction = {'class': 'NoStrategy'}",
     ConfigurationException, "NoStrategy"),
    ("an unknown compaction option",
     "CREATE TABLE refused (k int PRIMARY KEY) WITH compaction = "
     "{'class': 'SizeTieredCompactionStrategy', 'colour': 'red'}",
     ConfigurationException, "colour"),
    ("an unknown compressor",
     "CREATE TABLE refused (k int PRIMARY KEY) WITH compression = {'class': 'NoCompressor'}",
     ConfigurationException, "NoCompressor"),
    ("altering an unknown table", "ALTER TABLE nowhere ADD v int",
     InvalidRequest, "nowhere"),
    ("adding a column that exists", "ALTER TABLE $table ADD v int",
     InvalidRequest, "v"),
    ("dropping a key column", "ALTER TABLE $table DROP b",
     InvalidRequest, "Cannot drop PRIMARY KEY column b"),
    ("dropping an unknown column", "ALTER TABLE $table DROP nothing",
     InvalidRequest, "nothing"),
    ("renaming a column outside the key", "ALTER TABLE $table RENAME v TO w",
     InvalidRequest, "Cannot rename non PRIMARY KEY column v"),
    ("changing the type of a column", "ALTER TABLE $table ALTER v TYPE blob",
     InvalidRequest, "Altering column types is no longer supported"),
    ("dropping an unknown table", "DROP TABLE nowhere",
     InvalidRequest, "nowhere"),
    ("truncating an unknown table", "TRUNCATE nowhere",
     InvalidRequest, "nowhere"),
    ("a type that exists", "CREATE TYPE used_type (z int)",
     InvalidRequest, "used_type"),
    ("dropping a type that a table uses", "DROP TYPE used_type",
     InvalidRequest, "used by"),
    ("dropping an unknown type", "DROP TYPE nowhere_type",
     InvalidRequest, "nowhere_type"),
    ("a field that exists", "ALTER TYPE used_type ADD x int",
     InvalidRequest, "x"),
    ("a type of an unknown keyspace", "DROP TYPE nowhere.t",
     InvalidRequest, "Type 'nowhere.t' doesn't exist"),
    ("a table of an unknown keyspace", "ALTER TABLE nowhere.t ADD v int",
     InvalidRequest, "Table 'nowhere.t' doesn't exist"),
    ("dropping a column of a type that is not frozen", "ALTER TABLE $holder DROP w",
     InvalidRequest, "Cannot drop non-frozen column w of user type used_type"),
], names)


@behaviour
def a_keyspace_is_created_altered_and_dropped(env):
    read = ("SELECT durable_writes, replication FROM system_schema.keyspaces "
            "WHERE keyspace_name = 'conformance_ks'")
    env.execute(f"CREATE KEYSPACE conformance_ks WITH replication = {SIMPLE}")
    durable, replication = env.rows(read)[0]
    equal(durable, True)
    equal(dict(replication), {
        "class": "org.apache.cassandra.locator.SimpleStrategy", "replication_factor": "1"})
    env.execute(
        "ALTER KEYSPACE conformance_ks WITH replication = "
        "{'class': 'SimpleStrategy', 'replication_factor': 3} AND durable_writes = false")
    durable, replication = env.rows(read)[0]
    equal((durable, replication["replication_factor"]), (False, "3"))
    env.execute("DROP KEYSPACE conformance_ks")
    equal(env.rows(read), [])


@behaviour
def a_replication_factor_for_all_datacenters_is_expanded(env):
    env.execute(
        "CREATE KEYSPACE conformance_nts WITH replication = "
        "{'class': 'NetworkTopologyStrategy', 'replication_factor': 2}")
    row = env.rows(
        "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = 'conformance_nts'")
    datacenter = env.rows("SELECT data_center FROM system.local")[0][0]
    equal(dict(row[0][0]), {
        "class": "org.apache.cassandra.locator.NetworkTopologyStrategy", datacenter: "2"})
    env.execute("DROP KEYSPACE conformance_nts")


@behaviour
def if_not_exists_and_if_exists_accept_what_is_so_already(env):
    for statement in (
        f"CREATE KEYSPACE IF NOT EXISTS {env.keyspace} WITH replication = {SIMPLE}",
        "DROP KEYSPACE IF EXISTS nowhere",
        "CREATE TABLE IF NOT EXISTS twice (k int PRIMARY KEY)",
        "CREATE TABLE IF NOT EXISTS twice (k int PRIMARY KEY)",
        "ALTER TABLE twice ADD IF NOT EXISTS v int",
        "ALTER TABLE twice ADD IF NOT EXISTS v int",
        "ALTER TABLE twice DROP IF EXISTS nothing",
        "ALTER TABLE IF EXISTS nowhere ADD v int",
        "ALTER TABLE IF EXISTS no_keyspace.nowhere ADD v int",
        "ALTER TYPE IF EXISTS no_keyspace.nowhere ADD v int",
        "DROP TYPE IF EXISTS no_keyspace.nowhere",
        "DROP TABLE IF EXISTS twice",
        "DROP TABLE IF EXISTS twice",
        "CREATE TYPE IF NOT EXISTS twice_type (x int)",
        "CREATE TYPE IF NOT EXISTS twice_type (x int)",
        "DROP TYPE IF EXISTS twice_type",
        "DROP TYPE IF EXISTS twice_type",
    ):
        env.execute(statement)


@behaviour
def a_quoted_name_keeps_its_case_and_an_unquoted_one_is_folded(env):
    env.execute("CREATE TABLE \"MixedCase\" (\"Key\" int PRIMARY KEY, VALUE text)")
    env.execute("INSERT INTO \"MixedCase\" (\"Key\", Value) VALUES (1, 'x')")
    result = env.execute("SELECT * FROM \"MixedCase\"")
    equal((result.column_names, list(result)), (["Key", "value"], [(1, "x")]))
    env.refused(
        InvalidRequest, "mixedcase", lambda: env.execute("SELECT * FROM MixedCase"))
    env.execute("DROP TABLE \"MixedCase\"")


@behaviour
def a_keyspace_and_a_table_get_their_changes_announced_in_the_answer(env):
    future = env.session.execute_async("CREATE TABLE announced (k int PRIMARY KEY)")
    future.result()
    env.execute("DROP TABLE announced")


@behaviour
def columns_are_added_and_old_rows_show_null(env):
    table = env.table("k int PRIMARY KEY, v int")
    env.execute(f"INSERT INTO {table} (k, v) VALUES (1, 1)")
    env.execute(f"ALTER TABLE {table} ADD w text")
    env.execute(f"ALTER TABLE {table} ADD (x int, y frozen<list<int>>)")
    env.execute(f"INSERT INTO {table} (k, w, y) VALUES (2, 'w', [1, 2])")
    equal(
        sorted(env.rows(f"SELECT k, v, w, x, y FROM {table}")),
        [(1, 1, None, None, None), (2, None, "w", None, [1, 2])])


@behaviour
def a_dropped_column_is_gone_and_its_cells_stay_dead_when_it_is_added_again(env):
    table = env.table("k int PRIMARY KEY, v int, w int")
    env.execute(f"INSERT INTO {table} (k, v, w) VALUES (1, 1, 10)")
    env.execute(f"ALTER TABLE {table} DROP v")
    equal(env.execute(f"SELECT * FROM {table}").column_names, ["k", "w"])
    env.refused(
        InvalidRequest, "Undefined column name v", lambda: env.execute(f"SELECT v FROM {table}"))
    env.execute(f"ALTER TABLE {table} ADD v int")
    equal(env.rows(f"SELECT k, v, w FROM {table}"), [(1, None, 10)])
    env.execute(f"INSERT INTO {table} (k, v) VALUES (1, 2)")
    equal(env.rows(f"SELECT k, v, w FROM {table}"), [(1, 2, 10)])


@behaviour
def a_dropped_column_is_recorded(env):
    table = env.table("k int PRIMARY KEY, v int")
    env.execute(f"ALTER TABLE {table} DROP v")
    equal(env.rows(
        f"SELECT column_name, kind, type FROM system_schema.dropped_columns "
        f"WHERE keyspace_name = '{env.keyspace}' AND table_name = '{table}'"),
        [("v", "regular", "int")])


@behaviour
def a_dropped_column_cannot_return_with_another_type(env):
    table = env.table("k int PRIMARY KEY, v int")
    env.execute(f"ALTER TABLE {table} DROP v")
    env.refused(
        InvalidRequest, "Cannot re-add previously dropped column 'v' of type text",
        lambda: env.execute(f"ALTER TABLE {table} ADD v text"))


@behaviour
def a_key_column_is_renamed(env):
    table = env.table("a int, b int, v int, PRIMARY KEY (a, b)")
    env.execute(f"INSERT INTO {table} (a, b, v) VALUES (1, 2, 3)")
    env.execute(f"ALTER TABLE {table} RENAME a TO first AND b TO second")
    equal(env.rows(f"SELECT first, second, v FROM {table} WHERE first = 1"), [(1, 2, 3)])


@behaviour
def options_are_altered(env):
    table = env.table("k int PRIMARY KEY")
    env.execute(f"ALTER TABLE {table} WITH gc_grace_seconds = 7 AND comment = 'altered'")
    equal(env.rows(
        f"SELECT gc_grace_seconds, comment FROM system_schema.tables "
        f"WHERE keyspace_name = '{env.keyspace}' AND table_name = '{table}'"), [(7, "altered")])


@behaviour
def all_table_options_of_cassandra_are_accepted_and_shown(env):
    table = env.table(
        "k int PRIMARY KEY",
        "WITH additional_write_policy = '95p' AND allow_auto_snapshot = false "
        "AND bloom_filter_fp_chance = 0.02 AND caching = {'keys': 'NONE'} AND cdc = false "
        "AND comment = 'c' AND compaction = {'class': 'LeveledCompactionStrategy'} "
        "AND compression = {'class': 'LZ4Compressor', 'chunk_length_in_kb': 32} "
        "AND crc_check_chance = 0.5 AND default_time_to_live = 100 AND gc_grace_seconds = 1 "
        "AND incremental_backups = false AND max_index_interval = 512 "
        "AND memtable = 'default' AND memtable_flush_period_in_ms = 60000 "
        "AND min_index_interval = 64 AND read_repair = 'NONE' AND speculative_retry = '10ms'")
    row = env.rows(
        "SELECT additional_write_policy, bloom_filter_fp_chance, compaction, compression, "
        "crc_check_chance, memtable_flush_period_in_ms, min_index_interval, read_repair, "
        f"speculative_retry FROM system_schema.tables WHERE keyspace_name = '{env.keyspace}' "
        f"AND table_name = '{table}'")[0]
    equal((row[0], row[1], row[4], row[5], row[6], row[7]), ("95p", 0.02, 0.5, 60000, 64, "NONE"))
    true(row[2]["class"].endswith("LeveledCompactionStrategy"), "compaction class")
    equal(row[3]["chunk_length_in_kb"], "32")
    equal(row[8].lower(), "10ms")


@behaviour
def a_dropped_table_loses_its_rows(env):
    table = env.table("k int PRIMARY KEY")
    env.execute(f"INSERT INTO {table} (k) VALUES (1)")
    env.execute(f"DROP TABLE {table}")
    env.refused(InvalidRequest, table, lambda: env.execute(f"SELECT * FROM {table}"))
    env.execute(f"CREATE TABLE {table} (k int PRIMARY KEY)")
    equal(env.rows(f"SELECT * FROM {table}"), [])


@behaviour
def truncate_removes_all_rows_and_later_ones_stay(env):
    table = env.table("k int, c int, s int static, PRIMARY KEY (k, c)")

    def insert(statement):
        # At ALL: a truncation does not stop a write that is still on its way to a replica.
        env.execute(SimpleStatement(statement, consistency_level=ConsistencyLevel.ALL))

    for k in range(20):
        insert(f"INSERT INTO {table} (k, c, s) VALUES ({k}, 1, 1)")
    env.execute(f"TRUNCATE {table}")
    equal(env.rows(f"SELECT * FROM {table}"), [])
    insert(f"INSERT INTO {table} (k, c) VALUES (1, 1)")
    equal(env.rows(f"SELECT k, c, s FROM {table}"), [(1, 1, None)])
    env.execute(f"TRUNCATE TABLE {env.keyspace}.{table}")
    equal(env.rows(f"SELECT * FROM {table}"), [])


@behaviour
def a_user_defined_type_is_used_altered_and_dropped(env):
    env.execute("CREATE TYPE point (x int, y int)")
    table = env.table("k int PRIMARY KEY, p frozen<point>, l frozen<list<frozen<point>>>")
    env.execute(f"INSERT INTO {table} (k, p, l) VALUES (1, {{x: 1, y: 2}}, [{{x: 3, y: 4}}])")
    env.execute("ALTER TYPE point ADD z int")
    p, l = env.rows(f"SELECT p, l FROM {table}")[0]
    equal((p.x, p.y, p.z), (1, 2, None))
    equal([(q.x, q.y, q.z) for q in l], [(3, 4, None)])
    env.execute("ALTER TYPE point RENAME x TO east")
    equal(env.rows(f"SELECT p FROM {table}")[0][0].east, 1)
    env.execute(f"DROP TABLE {table}")
    env.execute("DROP TYPE point")


@behaviour
def a_new_table_is_known_on_every_node_when_its_statement_is_answered(env):
    sessions = [env.only(node) for node in range(1, len(env.ring.addresses) + 1)]
    for number in range(10):
        sessions[number % len(sessions)].execute(f"CREATE TABLE at_once_{number} (k int PRIMARY KEY)")
        for session in sessions:
            session.execute(f"INSERT INTO at_once_{number} (k) VALUES (1)")


@behaviour
def use_changes_the_keyspace_of_the_session(env):
    session = env.cluster(schema_metadata_enabled=False).connect()
    env.table("k int PRIMARY KEY")
    session.execute("USE system")
    equal(session.keyspace, "system")
    equal(session.execute("SELECT key FROM local").one()[0], "local")


@behaviour
def an_unknown_option_is_refused_with_the_name_that_was_meant_or_the_option(env):
    error = env.refused(
        (SyntaxException, ConfigurationException, InvalidRequest), "gc_grace_second",
        lambda: env.execute("CREATE TABLE refused (k int PRIMARY KEY) WITH gc_grace_second = 1"))
    true("gc_grace_second" in str(error), "the option is named")


@behaviour
def a_dropped_column_is_shown_with_a_type_that_may_go(env):
    env.execute("CREATE TYPE passing (x int)")
    name = env.table("k int PRIMARY KEY, v frozen<passing>")
    env.execute(f"ALTER TABLE {name} DROP v")
    env.execute("DROP TYPE passing")
    table = name.split(".")[-1]
    equal(env.rows(
        "SELECT type FROM system_schema.dropped_columns "
        f"WHERE keyspace_name = '{env.keyspace}' AND table_name = '{table}'"), [("frozen<tuple<int>>",)])


@behaviour
def a_tuple_of_tuples_goes_as_deep_as_drivers_try(env):
    kind, literal = "int", "7"
    for _ in range(32):
        kind, literal = f"frozen<tuple<{kind}>>", f"({literal})"
    name = env.table(f"k int PRIMARY KEY, v {kind}")
    env.execute(f"INSERT INTO {name} (k, v) VALUES (1, {literal})")
    value = env.rows(f"SELECT v FROM {name}")[0][0]
    for _ in range(32):
        value = value[0]
    equal(value, 7)


@behaviour
@needs(3)
def what_was_truncated_stays_away_after_every_node_is_killed(env):
    table = env.table("k int PRIMARY KEY, v int")
    insert = env.session.prepare(f"INSERT INTO {table} (k, v) VALUES (?, ?)")
    insert.consistency_level = ConsistencyLevel.ALL
    for k in range(50):
        env.execute(insert, (k, 1))
    env.execute(f"TRUNCATE {table}")
    env.execute(insert, (7, 2))
    for node in env.nodes():
        env.ring.kill(node)
    env.ring.heal()
    everyone = SimpleStatement(f"SELECT k, v FROM {table}", consistency_level=ConsistencyLevel.ALL)
    eventually(lambda: equal(env.rows(everyone), [(7, 2)]), 30, 0.3)


CLASSES = [
    ("ListType(Int32Type)", "list<int>"), ("SetType(UTF8Type)", "set<text>"),
    ("MapType(UTF8Type,Int32Type)", "map<text, int>"), ("FrozenType(ListType(SetType(Int32Type)))", None),
    ("FrozenType(ListType(FrozenType(SetType(Int32Type))))", "frozen<list<frozen<set<int>>>>"),
    ("TupleType(Int32Type,UTF8Type)", "frozen<tuple<int, text>>"), ("VectorType(FloatType , 3)", "vector<float, 3>"),
    ("org.apache.cassandra.db.marshal.ListType(org.apache.cassandra.db.marshal.Int32Type)", "list<int>"),
    ("ReversedType(Int32Type)", "int"), ("DateType", "timestamp"), ("LexicalUUIDType", "uuid"),
    ("CompositeType(Int32Type,UTF8Type)", "'org.apache.cassandra.db.marshal.CompositeType("
     "org.apache.cassandra.db.marshal.Int32Type,org.apache.cassandra.db.marshal.UTF8Type)'"),
]


def class_case(name, kind):
    def check(env):
        if kind is None:
            env.refused(InvalidRequest, "Non-frozen collections are not allowed inside collections",
                        lambda: env.execute(f"CREATE TABLE refused (k int PRIMARY KEY, v '{name}')"))
            return
        table = env.table(f"k int PRIMARY KEY, v '{name}'")
        equal(env.rows(
            f"SELECT type FROM system_schema.columns WHERE keyspace_name = '{env.keyspace}' AND table_name = '{table}' "
            "AND column_name = 'v'"), [(kind,)])
    check.__name__ = "a type by its class: " + name
    behaviour(check)


for _class in CLASSES:
    class_case(*_class)


@behaviour
def a_type_may_be_named_by_its_class(env):
    name = env.table(
        "k 'org.apache.cassandra.db.marshal.Int32Type' PRIMARY KEY, v 'UTF8Type'")
    env.execute(f"INSERT INTO {name} (k, v) VALUES (1, 'x')")
    equal(env.rows(f"SELECT k, v FROM {name}"), [(1, "x")])
    table = name.split(".")[-1]
    equal(sorted(env.rows(
        "SELECT column_name, type FROM system_schema.columns "
        f"WHERE keyspace_name = '{env.keyspace}' AND table_name = '{table}'")), [("k", "int"), ("v", "text")])
