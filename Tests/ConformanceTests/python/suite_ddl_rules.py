"""The rules of schema statements: what ALTER may do, what IF [NOT] EXISTS forgives, which options there are,
and that DESCRIBE gives statements that make the same schema again."""

from cassandra import AlreadyExists, InvalidRequest
from cassandra.protocol import ConfigurationException, SyntaxException

from harness import behaviour, equal, refusals, true

SIMPLE = "{'class': 'SimpleStrategy', 'replication_factor': 1}"


def wide(env):
    return env.table("k int, c int, s int static, v int, w text, PRIMARY KEY (k, c)")


def columns(env, name):
    return {row[0]: (row[1], row[2]) for row in env.rows(
        "SELECT column_name, kind, type FROM system_schema.columns WHERE keyspace_name = %s AND table_name = %s",
        (env.keyspace, name))}


def option(env, name, column):
    return env.rows(
        f"SELECT {column} FROM system_schema.tables WHERE keyspace_name = %s AND table_name = %s",
        (env.keyspace, name))[0][0]


# ALTER TABLE: (name, statement, expected columns beside k, c; the rows are read before and after)
ALTERATIONS = [
    ("adds a column", "ALTER TABLE $t ADD x int", {"x": ("regular", "int")}),
    ("adds several columns", "ALTER TABLE $t ADD (x int, y text)",
     {"x": ("regular", "int"), "y": ("regular", "text")}),
    ("adds a static column", "ALTER TABLE $t ADD x int static", {"x": ("static", "int")}),
    ("adds a collection", "ALTER TABLE $t ADD x map<text, int>", {"x": ("regular", "map<text, int>")}),
    ("adds nothing if it exists", "ALTER TABLE $t ADD IF NOT EXISTS v int", {}),
    ("adds the missing ones", "ALTER TABLE $t ADD IF NOT EXISTS (v int, x int)", {"x": ("regular", "int")}),
    ("drops a column", "ALTER TABLE $t DROP w", {"w": None}),
    ("drops several columns", "ALTER TABLE $t DROP (v, w)", {"v": None, "w": None}),
    ("drops a static column", "ALTER TABLE $t DROP s", {"s": None}),
    ("drops nothing if it is not there", "ALTER TABLE $t DROP IF EXISTS nope", {}),
    ("drops the present ones", "ALTER TABLE $t DROP IF EXISTS (nope, w)", {"w": None}),
    ("drops as of a time", "ALTER TABLE $t DROP w USING TIMESTAMP 1000", {"w": None}),
    ("renames a clustering column", "ALTER TABLE $t RENAME c TO cc",
     {"c": None, "cc": ("clustering", "int")}),
    ("renames a partition key column", "ALTER TABLE $t RENAME k TO kk",
     {"k": None, "kk": ("partition_key", "int")}),
    ("renames several columns", "ALTER TABLE $t RENAME k TO kk AND c TO cc",
     {"k": None, "c": None, "kk": ("partition_key", "int"), "cc": ("clustering", "int")}),
    ("renames nothing if it is not there", "ALTER TABLE $t RENAME IF EXISTS nope TO x", {}),
    ("of a missing table does nothing", "ALTER TABLE IF EXISTS nowhere ADD x int", {}),
]


def alteration(name, statement, expected):
    def check(env):
        table = wide(env)
        env.execute(f"INSERT INTO {table} (k, c, s, v, w) VALUES (1, 2, 3, 4, 'w')")
        before = columns(env, table)
        env.execute(statement.replace("$t", table))
        after = dict(before)
        for column, value in expected.items():
            if value is None:
                del after[column]
            else:
                after[column] = value
        equal(columns(env, table), after)
        equal(len(env.rows(f"SELECT * FROM {table}")), 1)
    check.__name__ = "ALTER TABLE " + name
    behaviour(check)


for _alteration in ALTERATIONS:
    alteration(*_alteration)


@behaviour
def a_dropped_column_comes_back_empty(env):
    table = wide(env)
    env.execute(f"INSERT INTO {table} (k, c, v) VALUES (1, 2, 4)")
    env.execute(f"ALTER TABLE {table} DROP v")
    env.execute(f"ALTER TABLE {table} ADD v int")
    equal(env.rows(f"SELECT v FROM {table}"), [(None,)])
    env.execute(f"INSERT INTO {table} (k, c, v) VALUES (1, 2, 5)")
    equal(env.rows(f"SELECT v FROM {table}"), [(5,)])


@behaviour
def a_column_that_comes_back_shows_what_is_newer_than_its_drop(env):
    table = env.table("k int, c int, v int, l list<int>, s int static, PRIMARY KEY (k, c)")
    for c, at in [(1, 1000), (2, 2000), (3, 2001)]:
        env.execute(f"INSERT INTO {table} (k, c, v, l) VALUES (1, {c}, {c}, [{c}]) USING TIMESTAMP {at}")
    env.execute(f"UPDATE {table} USING TIMESTAMP 5000 SET s = 7 WHERE k = 1")
    env.execute(f"ALTER TABLE {table} DROP (v, l, s) USING TIMESTAMP 2000")
    equal(env.rows(f"SELECT * FROM {table}"), [(1, 1), (1, 2), (1, 3)])
    env.execute(f"ALTER TABLE {table} ADD (v int, l list<int>, s int static)")
    shown = [(1, None, None, 7), (2, None, None, 7), (3, 3, [3], 7)]
    equal(env.rows(f"SELECT c, v, l, s FROM {table}"), shown)
    equal(env.rows(f"SELECT c, writetime(v) FROM {table} WHERE k = 1 AND c IN (2, 3)"), [(2, None), (3, 2001)])
    equal(env.rows(f"SELECT c FROM {table} WHERE v = 2 ALLOW FILTERING"), [])
    # Conditions and lists see the same.
    equal(env.rows(f"UPDATE {table} SET v = 9 WHERE k = 1 AND c = 2 IF v = 2")[0][0], False)
    env.refused(InvalidRequest, "a list which is null",
                lambda: env.execute(f"UPDATE {table} SET l[0] = 1 WHERE k = 1 AND c = 2"))
    env.execute(f"UPDATE {table} SET l[0] = 33 WHERE k = 1 AND c = 3")
    # What is written behind the drop counts, and what is written before it is dead from the beginning.
    env.execute(f"INSERT INTO {table} (k, c, v) VALUES (1, 1, 11) USING TIMESTAMP 1500")
    env.execute(f"INSERT INTO {table} (k, c, v) VALUES (1, 2, 22) USING TIMESTAMP 2500")
    equal(env.rows(f"SELECT c, v, l FROM {table}"), [(1, None, None), (2, 22, None), (3, 3, [33])])


@behaviour
def a_row_of_cells_that_stay_dead_is_none(env):
    table = env.table("k int PRIMARY KEY, v int, w int")
    env.execute(f"UPDATE {table} USING TIMESTAMP 1000 SET v = 1 WHERE k = 1")
    env.execute(f"UPDATE {table} USING TIMESTAMP 3000 SET v = 2 WHERE k = 2")
    env.execute(f"ALTER TABLE {table} DROP v USING TIMESTAMP 2000")
    equal(env.rows(f"SELECT k FROM {table}"), [])
    env.execute(f"ALTER TABLE {table} ADD v int")
    equal(env.rows(f"SELECT k, v, w FROM {table}"), [(2, 2, None)])
    equal(env.rows(f"SELECT count(*) FROM {table}"), [(1,)])


@behaviour
def a_column_is_dropped_and_comes_back_again_and_again(env):
    table = env.table("k int PRIMARY KEY, v text")
    for at in [10, 20, 30]:
        env.execute(f"INSERT INTO {table} (k, v) VALUES ({at}, 'x') USING TIMESTAMP {at}")
    for at, left in [(15, [20, 30]), (25, [30]), (5, [10, 20, 30])]:
        env.execute(f"ALTER TABLE {table} DROP v USING TIMESTAMP {at}")
        env.execute(f"ALTER TABLE {table} ADD v text")
        equal(sorted(k for k, v in env.rows(f"SELECT k, v FROM {table}") if v), left, at)
        equal(env.rows(f"SELECT dropped_time FROM system_schema.dropped_columns WHERE keyspace_name = "
                       f"'{env.keyspace}' AND table_name = '{table}'")[0][0].microsecond, 0)


@behaviour
def a_dropped_column_returns_with_types_that_can_read_its_cells(env):
    table = env.table("k int PRIMARY KEY, " + ", ".join(
        f"c{place} {former}" for place, (former, _, _) in enumerate(RETURNS)))
    for place, (former, types, others) in enumerate(RETURNS):
        env.execute(f"ALTER TABLE {table} DROP c{place}")
        for other in others:
            env.refused(
                InvalidRequest, f"Cannot re-add previously dropped column 'c{place}' of type {other}, incompatible "
                f"with previous type {former}", lambda: env.execute(f"ALTER TABLE {table} ADD c{place} {other}"))
        for type in types:
            env.execute(f"ALTER TABLE {table} ADD c{place} {type}")
            env.execute(f"ALTER TABLE {table} DROP c{place}")
            if type != former:
                break


# (what the column was, what it may become, what not)
RETURNS = [
    ("text", ["text", "blob"], ["ascii", "int"]), ("ascii", ["text"], ["varint"]), ("varint", ["blob"], ["decimal"]),
    ("timestamp", ["bigint"], ["blob", "time"]), ("bigint", ["timestamp"], ["varint", "blob"]),
    ("timeuuid", ["uuid"], ["blob"]), ("uuid", ["uuid"], ["timeuuid"]), ("int", ["int"], ["bigint", "blob", "varint"]),
    ("frozen<list<text>>", ["blob"], ["list<text>"]), ("list<text>", ["list<blob>"], ["blob", "list<ascii>"]),
    ("set<ascii>", ["set<text>"], ["set<varint>"]), ("map<ascii, text>", ["map<text, blob>"], ["map<int, text>"]),
]


@behaviour
def a_dropped_column_is_listed(env):
    table = wide(env)
    env.execute(f"ALTER TABLE {table} DROP w USING TIMESTAMP 5000")
    equal(env.rows(
        "SELECT column_name, type, kind FROM system_schema.dropped_columns WHERE keyspace_name = %s AND "
        "table_name = %s", (env.keyspace, table)), [("w", "text", "regular")])


# Options: (option, value in CQL, as it is stored)
OPTIONS = [
    ("comment", "'it''s a comment'", "it's a comment"), ("gc_grace_seconds", "100", 100),
    ("default_time_to_live", "1000", 1000), ("bloom_filter_fp_chance", "0.05", 0.05),
    ("crc_check_chance", "0.5", 0.5), ("min_index_interval", "64", 64), ("max_index_interval", "4096", 4096),
    ("memtable_flush_period_in_ms", "60000", 60000), ("speculative_retry", "'95PERCENTILE'", "95p"),
    ("speculative_retry", "'NEVER'", "NEVER"), ("speculative_retry", "'50ms'", "50ms"),
    ("additional_write_policy", "'99p'", "99p"), ("read_repair", "'NONE'", "NONE"), ("cdc", "true", True),
    ("caching", "{'keys': 'NONE', 'rows_per_partition': '10'}", {"keys": "NONE", "rows_per_partition": "10"}),
    ("extensions", "{}", {}), ("extensions", "{'a': 0xCAFE}", {"a": b"\xca\xfe"}),
    ("allow_auto_snapshot", "false", False), ("incremental_backups", "false", False), ("memtable", "'trie'", "trie"),
    ("compaction", "{'class': 'LeveledCompactionStrategy', 'sstable_size_in_mb': 32}",
     {"class": "org.apache.cassandra.db.compaction.LeveledCompactionStrategy", "sstable_size_in_mb": "32",
      "min_threshold": "4", "max_threshold": "32"}),
    ("compression", "{'class': 'LZ4Compressor', 'min_compress_ratio': 2}",
     {"class": "org.apache.cassandra.io.compress.LZ4Compressor", "chunk_length_in_kb": "16",
      "min_compress_ratio": "2.0"}),
]


def option_case(name, value, stored):
    def created(env):
        table = env.table("k int PRIMARY KEY", f"WITH {name} = {value}")
        got = option(env, table, name)
        equal(dict(got) if isinstance(stored, dict) else got, stored)
    created.__name__ = f"CREATE TABLE WITH {name} = {value}"
    behaviour(created)

    def altered(env):
        table = env.table("k int PRIMARY KEY")
        env.execute(f"ALTER TABLE {table} WITH {name} = {value}")
        got = option(env, table, name)
        equal(dict(got) if isinstance(stored, dict) else got, stored)
    altered.__name__ = f"ALTER TABLE WITH {name} = {value}"
    behaviour(altered)


for _option in OPTIONS:
    option_case(*_option)


FORGIVEN = [
    "CREATE KEYSPACE IF NOT EXISTS $keyspace WITH replication = " + SIMPLE,
    "ALTER KEYSPACE IF EXISTS nowhere WITH durable_writes = true", "DROP KEYSPACE IF EXISTS nowhere",
    "CREATE TABLE IF NOT EXISTS $t (x int PRIMARY KEY)", "DROP TABLE IF EXISTS nowhere",
    "DROP TABLE IF EXISTS nowhere.nothing", "CREATE TYPE IF NOT EXISTS used (z int)", "DROP TYPE IF EXISTS nowhere",
    "ALTER TYPE IF EXISTS nowhere ADD x int", "ALTER TYPE used ADD IF NOT EXISTS a int",
    "ALTER TYPE used RENAME IF EXISTS nope TO other",
]


def shared(env):
    def make():
        env.make_keyspace()
        env.execute("CREATE TYPE used (a int, b text)")
        env.execute("CREATE TYPE holder (u frozen<used>)")
        table = env.table("k int, c int, s int static, v int, u frozen<used>, m map<text, int>, PRIMARY KEY (k, c)")
        env.execute(f"ALTER TABLE {table} ADD gone text")
        env.execute(f"ALTER TABLE {table} DROP gone")
        env.execute(f"ALTER TABLE {table} ADD still int static")
        env.execute(f"ALTER TABLE {table} DROP still")
        env.execute("CREATE TYPE keyed (a int)")
        env.execute("CREATE TYPE keyholder (u frozen<keyed>)")
        env.execute("CREATE TABLE of_keys (k frozen<keyed>, k2 int, PRIMARY KEY ((k2, k)))")
        env.execute("CREATE TABLE of_more_keys (k frozen<list<frozen<keyholder>>> PRIMARY KEY)")
        env.execute("CREATE TABLE of_rows (k int, c frozen<keyed>, PRIMARY KEY (k, c))")
        return {"t": table, "keyspace": env.keyspace}
    return env.shared("names", make)


def forgiven(statement):
    def check(env):
        from harness import fill
        env.execute(fill(statement, shared(env)))
    check.__name__ = "nothing happens: " + statement
    behaviour(check)


for _forgiven in FORGIVEN:
    forgiven(_forgiven)


@behaviour
def a_field_is_added_to_and_renamed_in_a_type(env):
    env.execute("CREATE TYPE growing (a int)")
    table = env.table("k int PRIMARY KEY, u growing, f frozen<growing>")
    env.execute(f"INSERT INTO {table} (k, u, f) VALUES (1, {{a: 1}}, {{a: 2}})")
    env.execute("ALTER TYPE growing ADD b text")
    env.execute(f"UPDATE {table} SET u.b = 'x' WHERE k = 1")
    env.execute("ALTER TYPE growing RENAME a TO first AND b TO second")
    equal(env.rows(f"SELECT u.first, u.second, f.first, f.second FROM {table}"), [(1, "x", 2, None)])


@behaviour
def replication_factor_means_every_datacenter(env):
    datacenter = env.rows("SELECT data_center FROM system.local")[0][0]
    env.execute("DROP KEYSPACE IF EXISTS conformance_every")
    env.execute("CREATE KEYSPACE conformance_every WITH replication = "
                "{'class': 'NetworkTopologyStrategy', 'replication_factor': 2}")
    got = env.rows("SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = 'conformance_every'")[0][0]
    equal(got[datacenter], "2")
    env.execute("DROP KEYSPACE conformance_every")


@behaviour
def a_keyspace_takes_the_replicas_that_a_statement_leaves_out(env):
    datacenter = env.rows("SELECT data_center FROM system.local")[0][0]
    env.execute("DROP KEYSPACE IF EXISTS conformance_default")

    def becomes(verb, options, expected):
        env.execute(f"{verb} KEYSPACE conformance_default WITH replication = {{{options}}}")
        row = env.rows("SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = 'conformance_default'")
        got = dict(row[0][0])
        del got["class"]
        equal(got, expected, f"{verb} {options}")

    topology, simple = "'class': 'NetworkTopologyStrategy'", "'class': 'SimpleStrategy'"
    becomes("CREATE", topology, {datacenter: "1"})
    # A number for all datacenters takes nothing from those that have one.
    becomes("ALTER", topology + ", 'replication_factor': 3", {datacenter: "1"})
    becomes("ALTER", topology + f", '{datacenter}': 2", {datacenter: "2"})
    becomes("ALTER", topology, {datacenter: "2"})
    becomes("ALTER", simple, {"replication_factor": "1"})
    becomes("ALTER", simple + ", 'replication_factor': 2", {"replication_factor": "2"})
    becomes("ALTER", topology, {datacenter: "2"})
    env.refused(
        ConfigurationException, "Configuration for at least one datacenter must be present",
        lambda: env.execute(
            f"ALTER KEYSPACE conformance_default WITH replication = {{{topology}, '{datacenter}': 0}}"))
    env.execute("DROP KEYSPACE conformance_default")


# DESCRIBE: what it says is run in another keyspace, and says the same there.
TABLES = [
    "CREATE TABLE d1 (k int PRIMARY KEY, v text)",
    "CREATE TABLE d2 (a int, b text, c timeuuid, d int, s int static, v blob, PRIMARY KEY ((a, b), c, d)) "
    "WITH CLUSTERING ORDER BY (c DESC, d ASC)",
    "CREATE TABLE d3 (\"Key\" int PRIMARY KEY, \"a\"\"b\" text, \"select\" int) WITH comment = 'it''s'",
    "CREATE TABLE d4 (k int PRIMARY KEY, l list<int>, s set<text>, m map<text, frozen<list<int>>>, "
    "t tuple<int, text>, v vector<float, 3>, u dtype, fu frozen<dtype>, du duration, d decimal)",
    "CREATE TABLE d5 (k int PRIMARY KEY, v int) WITH gc_grace_seconds = 100 AND default_time_to_live = 50 AND "
    "caching = {'keys': 'NONE', 'rows_per_partition': '5'} AND speculative_retry = '95p' AND cdc = true",
]


def described(statement):
    def check(env):
        other = env.keyspace + "_copy"
        env.execute(f"DROP KEYSPACE IF EXISTS {other}")
        env.execute(f"CREATE KEYSPACE {other} WITH replication = {SIMPLE}")
        env.execute("CREATE TYPE IF NOT EXISTS dtype (a int, \"B\" frozen<list<text>>)")
        env.execute(f"CREATE TYPE {other}.dtype (a int, \"B\" frozen<list<text>>)")
        name = statement.split()[2]
        env.execute(statement)
        text = env.rows(f"DESCRIBE TABLE {name}")[0][3]
        env.execute(text.replace(f"{env.keyspace}.", f"{other}."))
        again = env.rows(f"DESCRIBE TABLE {other}.{name}")[0][3]
        equal(again.replace(f"{other}.", f"{env.keyspace}."), text)
        env.execute(f"DROP TABLE {name}")
        env.execute(f"DROP KEYSPACE {other}")
    check.__name__ = f"DESCRIBE TABLE {statement.split()[2]} makes the same table"
    behaviour(check)


for _statement in TABLES:
    described(_statement)


def config(name, statement, phrase):
    return (name, statement, ConfigurationException, phrase)


def invalid(name, statement, phrase):
    return (name, statement, InvalidRequest, phrase)


refusals([
    invalid("re-adding a column with another type", "ALTER TABLE $t ADD gone int",
            "Cannot re-add previously dropped column 'gone' of type int, incompatible with previous type text"),
    invalid("re-adding a static column as a regular one", "ALTER TABLE $t ADD still int",
            "Cannot re-add previously dropped column 'still' of kind REGULAR, incompatible with previous kind STATIC"),
    invalid("adding a column twice", "ALTER TABLE $t ADD (x int, x int)", "Column with name 'x' already exists"),
    invalid("adding a column that exists among others", "ALTER TABLE $t ADD (x int, v int)",
            "Column with name 'v' already exists"),
    invalid("adding a column of an unknown type", "ALTER TABLE $t ADD x nothing", "nothing"),
    invalid("adding a non-frozen nested collection", "ALTER TABLE $t ADD x list<list<int>>",
            "Non-frozen collections are not allowed inside collections"),
    invalid("adding a counter", "ALTER TABLE $t ADD x counter", "counter"),
    invalid("dropping a clustering column", "ALTER TABLE $t DROP c", "Cannot drop PRIMARY KEY column c"),
    invalid("dropping a partition key column", "ALTER TABLE $t DROP (v, k)", "Cannot drop PRIMARY KEY column k"),
    invalid("dropping an unknown column among others", "ALTER TABLE $t DROP (v, nope)", "Column nope was not found in table"),
    invalid("renaming to a name in use", "ALTER TABLE $t RENAME c TO v",
            "another column with that name already exists"),
    invalid("renaming an unknown column", "ALTER TABLE $t RENAME nope TO x", "Column nope was not found in table"),
    invalid("renaming a static column", "ALTER TABLE $t RENAME s TO x", "Cannot rename non PRIMARY KEY column s"),
    invalid("altering a type of a column", "ALTER TABLE $t ALTER v TYPE text", "Altering column types is no longer supported"),
    invalid("altering a type of a field", "ALTER TYPE used ALTER a TYPE text", "Altering field types is no longer supported"),
    invalid("dropping compact storage", "ALTER TABLE $t DROP COMPACT STORAGE",
            "DROP COMPACT STORAGE is disabled. Enable in cassandra.yaml to use."),
    config("altering the id", "ALTER TABLE $t WITH id = 123e4567-e89b-12d3-a456-426614174000", "Cannot alter table id."),
    invalid("dropping a type that a type uses", "DROP TYPE used", "Cannot drop user type"),
    invalid("a field that the type has", "ALTER TYPE used ADD a int", "a field with name a already exists"),
    invalid("renaming an unknown field", "ALTER TYPE used RENAME nope TO x", "Unknown field nope in user type"),
    invalid("a field more in a partition key", "ALTER TYPE keyed ADD f list<int>",
            "Cannot add new field f of type list<int> to user type $keyspace.keyed as the type is being used in "
            "partition key by the following tables: $keyspace.of_keys, $keyspace.of_more_keys"),
    invalid("a field of the type itself", "ALTER TYPE used ADD me frozen<used>", "circular reference"),
    invalid("a field of a type that holds it", "ALTER TYPE used ADD me frozen<holder>", "circular reference"),
    invalid("a type with a field twice", "CREATE TYPE refused (a int, a text)", "Duplicate field name 'a' in type 'refused'"),
    invalid("a type with a counter", "CREATE TYPE refused (a counter)", "A user type cannot contain counters"),
    invalid("a type that holds one that is not frozen", "CREATE TYPE refused (u used)",
            "A user type cannot contain non-frozen UDTs"),
    invalid("a type in an unknown keyspace", "CREATE TYPE nowhere.refused (a int)", "Keyspace 'nowhere' doesn't exist"),
    invalid("a type of another keyspace", "CREATE TABLE refused (k int PRIMARY KEY, v frozen<system.used>)", ""),
    ("a reserved type name", "CREATE TYPE byte (a int)", SyntaxException, "Invalid (reserved) user type name byte"),
    ("a table that exists", "CREATE TABLE $t (k int PRIMARY KEY)", AlreadyExists, "already exists"),
    invalid("no clustering column to order", "CREATE TABLE refused (k int PRIMARY KEY, v int) "
            "WITH CLUSTERING ORDER BY (v ASC)",
            "Only clustering key columns can be defined in CLUSTERING ORDER directive: [v] are not clustering columns"),
    invalid("other columns to order beside one that clusters",
            "CREATE TABLE refused (k int, c int, v int, PRIMARY KEY (k, c)) WITH CLUSTERING ORDER BY (k ASC, v ASC, c ASC)",
            "Only clustering key columns can be defined in CLUSTERING ORDER directive: [k, v] are not clustering columns"),
    invalid("a clustering column that is ordered twice",
            "CREATE TABLE refused (k int, c int, PRIMARY KEY (k, c)) WITH CLUSTERING ORDER BY (c ASC, c DESC)",
            "Duplicate column 'c' in CLUSTERING ORDER BY clause for table 'refused'"),
    invalid("two clauses about a clustering column",
            "CREATE TABLE refused (k int, c int, PRIMARY KEY (k, c)) WITH CLUSTERING ORDER BY (c ASC) "
            "AND CLUSTERING ORDER BY (c DESC)",
            "Duplicate column 'c' in CLUSTERING ORDER BY clause for table 'refused'"),
    invalid("a vector in zero dimensions", "CREATE TABLE refused (k int PRIMARY KEY, v vector<float, 0>)", ""),
    invalid("a set of durations", "CREATE TABLE refused (k int PRIMARY KEY, v set<duration>)",
            "Durations are not allowed inside sets"),
    invalid("a map of durations", "CREATE TABLE refused (k int PRIMARY KEY, v map<duration, int>)",
            "Durations are not allowed as map keys"),
    invalid("a list of counters", "CREATE TABLE refused (k int PRIMARY KEY, v list<counter>)", "ounter"),
    invalid("a user-defined type as a key", "CREATE TABLE refused (k used PRIMARY KEY, v int)",
            "for PRIMARY KEY column 'k'"),
    config("a negative gc_grace_seconds", "ALTER TABLE $t WITH gc_grace_seconds = -1",
           "gc_grace_seconds must be greater than or equal to 0 (got -1)"),
    config("a negative default_time_to_live", "ALTER TABLE $t WITH default_time_to_live = -1",
           "default_time_to_live must be greater than or equal to 0 (got -1)"),
    config("a default_time_to_live that is too long", "ALTER TABLE $t WITH default_time_to_live = 700000000",
           "default_time_to_live must be less than or equal to 630720000"),
    config("a chance above one", "ALTER TABLE $t WITH crc_check_chance = 1.5",
           "crc_check_chance must be larger than or equal to 0 and smaller than or equal to 1.0"),
    config("a filter that never errs", "ALTER TABLE $t WITH bloom_filter_fp_chance = 0",
           "bloom_filter_fp_chance must be larger than"),
    config("an interval above the largest", "ALTER TABLE $t WITH min_index_interval = 5000",
           "max_index_interval must be greater than or equal to min_index_interval"),
    config("an interval of zero", "ALTER TABLE $t WITH min_index_interval = 0",
           "min_index_interval must be greater than or equal to 1"),
    ("a number that is none", "ALTER TABLE $t WITH gc_grace_seconds = 'many'", SyntaxException,
     "Invalid integer value many for 'gc_grace_seconds'"),
    config("an unknown caching option", "ALTER TABLE $t WITH caching = {'colour': 'red'}",
           "Invalid caching sub-option 'colour': only 'keys' and 'rows_per_partition' are allowed"),
    config("a bad caching of keys", "ALTER TABLE $t WITH caching = {'keys': 'SOME'}",
           "Invalid value for 'keys' caching sub-option 'SOME': only 'ALL' and 'NONE' are allowed."),
    config("a bad caching of rows", "ALTER TABLE $t WITH caching = {'rows_per_partition': '-1'}",
           "Invalid value for 'rows_per_partition' caching sub-option '-1'"),
    config("a bad speculative_retry", "ALTER TABLE $t WITH speculative_retry = 'sometimes'", "sometimes"),
    config("a bad read_repair", "ALTER TABLE $t WITH read_repair = 'SOMETIMES'", "SOMETIMES"),
    ("an option twice", "ALTER TABLE $t WITH comment = 'a' AND comment = 'b'", (SyntaxException, InvalidRequest),
     "comment"),
    ("an option near a known one", "ALTER TABLE $t WITH commment = 'a'", (SyntaxException, InvalidRequest),
     "Unknown property 'commment'. Did you mean 'comment'?"),
    ("an option with a map where a text is", "ALTER TABLE $t WITH comment = {'a': 'b'}",
     (SyntaxException, InvalidRequest, ConfigurationException), "comment"),
    ("an option with a text where a map is", "ALTER TABLE $t WITH caching = 'ALL'",
     (SyntaxException, InvalidRequest, ConfigurationException), "caching"),
    config("a factor that is no number", "CREATE KEYSPACE refused WITH replication = "
           "{'class': 'SimpleStrategy', 'replication_factor': 'x'}", "Replication factor must be numeric; found x"),
    config("a negative factor", "CREATE KEYSPACE refused WITH replication = "
           "{'class': 'SimpleStrategy', 'replication_factor': -1}", "Replication factor must be non-negative; found -1"),
    config("a datacenter in SimpleStrategy", "CREATE KEYSPACE refused WITH replication = "
           "{'class': 'SimpleStrategy', 'dc9': 1}", "Unrecognized strategy option {dc9} passed to SimpleStrategy"),
    config("LocalStrategy", "CREATE KEYSPACE refused WITH replication = {'class': 'LocalStrategy'}",
           "LocalStrategy is reserved for internal use"),
    ("an unknown property of a keyspace", "CREATE KEYSPACE refused WITH replication = " + SIMPLE + " AND colour = 'red'",
     (SyntaxException, InvalidRequest), "Unknown property 'colour'"),
    ("a bind marker as an option", "CREATE TABLE refused (k int PRIMARY KEY) WITH comment = ?", SyntaxException, ""),
    invalid("describing an unknown table", "DESCRIBE TABLE nowhere", "nowhere"),
    invalid("describing an unknown keyspace", "DESCRIBE KEYSPACE nowhere", "nowhere"),
    invalid("describing an unknown type", "DESCRIBE TYPE nowhere", "nowhere"),
], shared)
