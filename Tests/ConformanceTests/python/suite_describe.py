"""DESCRIBE and back over the wire: what is described, dropped, and run again statement by statement gives the same
texts and the same rows of system_schema."""

from cassandra import ConsistencyLevel, InvalidRequest
from cassandra.query import SimpleStatement

from harness import behaviour, equal, eventually, needs, true

SCHEMA_TABLES = [
    "keyspaces", "tables", "columns", "dropped_columns", "types", "column_masks", "indexes", "views", "triggers",
    "functions", "aggregates"]

TYPES = [
    'CREATE TYPE {0}.zone (name text, "Offset" int)',
    'CREATE TYPE {0}.address (street text, z frozen<zone>, tags frozen<map<text, frozen<list<int>>>>)',
    'CREATE TYPE {0}."a Type" (a frozen<address>, "select" frozen<set<frozen<zone>>>, v vector<float, 2>)',
    'CREATE TYPE {0}.last (o frozen<"a Type">, t tuple<int, frozen<zone>>)',
]

TABLES = [
    "CREATE TABLE {0}.plain (k int PRIMARY KEY, v text)",
    'CREATE TABLE {0}."Scalars" (a ascii, b bigint, bl blob, bo boolean, d date, de decimal, "do" double, du duration, '
    "f float, i inet, si smallint, t text, ti time, ts timestamp, tu timeuuid, ty tinyint, u uuid, vi varint, "
    "PRIMARY KEY ((a, b), ts, tu)) WITH CLUSTERING ORDER BY (ts DESC, tu ASC) "
    "AND comment = 'it''s; \"said\" -- /* $$ é'",
    'CREATE TABLE {0}.nested (k int, c frozen<address>, "S t" set<text> static, l list<int>, fl frozen<list<int>>, '
    "m map<text, frozen<map<int, frozen<set<int>>>>>, t tuple<int, frozen<list<tuple<text, int>>>>, z zone, "
    'fz frozen<last>, lz list<frozen<"a Type">>, v vector<float, 3>, vt vector<text, 2>, vv vector<frozen<zone>, 2>, '
    "PRIMARY KEY (k, c)) WITH CLUSTERING ORDER BY (c DESC)",
    "CREATE TABLE {0}.compact (k int PRIMARY KEY, v int, w frozen<address>) WITH COMPACT STORAGE",
    "CREATE TABLE {0}.dense (k int, c int, d text, PRIMARY KEY (k, c, d)) WITH COMPACT STORAGE "
    "AND CLUSTERING ORDER BY (c DESC, d ASC)",
    "CREATE TABLE {0}.counts (k int, c text, n counter, s counter static, PRIMARY KEY (k, c)) "
    "WITH compaction = {{'class': 'LeveledCompactionStrategy', 'sstable_size_in_mb': 32}}",
    'CREATE TABLE {0}.names ("select" int, "a""b" text, "it\'s" int, "ümlaut" int, "1st" int, ttl int, '
    'PRIMARY KEY (("select", "a""b"), "1st"))',
    "CREATE TABLE {0}.options (k int PRIMARY KEY, v int) WITH additional_write_policy = '90p' "
    "AND allow_auto_snapshot = false AND bloom_filter_fp_chance = 0.001 "
    "AND caching = {{'keys': 'NONE', 'rows_per_partition': '5'}} AND cdc = true AND crc_check_chance = 0.5 "
    "AND default_time_to_live = 50 AND extensions = {{'x': 0xCAFE, 'it''s': 0x}} AND gc_grace_seconds = 100 "
    "AND incremental_backups = false AND max_index_interval = 512 AND memtable = 'trie' "
    "AND memtable_flush_period_in_ms = 3600000 AND min_index_interval = 64 AND read_repair = 'NONE' "
    "AND speculative_retry = 'MIN(99p,50ms)' AND tombstone_gc = {{'mode': 'immediate'}}",
] + [
    f"CREATE TABLE {{0}}.compaction{number} (k int PRIMARY KEY) WITH compaction = {options}"
    for number, options in enumerate([
        "{{'class': 'SizeTieredCompactionStrategy', 'min_threshold': 6, 'bucket_low': 0.4, 'enabled': false}}",
        "{{'class': 'LeveledCompactionStrategy', 'fanout_size': 5, 'single_sstable_uplevel': false}}",
        "{{'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'HOURS', 'compaction_window_size': 3}}",
        "{{'class': 'UnifiedCompactionStrategy', 'scaling_parameters': 'T4, N, L10', 'base_shard_count': 2}}",
        "{{'class': 'UnifiedCompactionStrategy', 'tombstone_threshold': 0.3, 'log_all': true}}"])
] + [
    f"CREATE TABLE {{0}}.compression{number} (k int PRIMARY KEY) WITH compression = {options}"
    for number, options in enumerate([
        "{{'enabled': false}}", "{{'class': 'NoopCompressor'}}",
        "{{'class': 'LZ4Compressor', 'lz4_compressor_type': 'high', 'chunk_length_in_kb': 64}}",
        "{{'class': 'ZstdCompressor', 'compression_level': 7, 'min_compress_ratio': 1.5}}",
        "{{'class': 'SnappyCompressor'}}", "{{'class': 'DeflateCompressor'}}"])
] + [
    # Dropped, brought back, and a key with the name of what is gone.
    "CREATE TABLE {0}.dropped (k int, c int, gone frozen<zone>, back text, s int static, PRIMARY KEY (k, c))",
    "ALTER TABLE {0}.dropped DROP (gone, back, s) USING TIMESTAMP 1000",
    "ALTER TABLE {0}.dropped ADD back text",
    "ALTER TABLE {0}.dropped RENAME c TO gone",
]


def keyspaces(env):
    """The two keyspaces of the suite, filled."""
    datacenter = env.rows("SELECT data_center FROM system.local")[0][0]
    first, second = "described_1", '"Described_2"'
    drop(env, first, second)
    env.execute(f"CREATE KEYSPACE {first} WITH replication = "
                "{'class': 'SimpleStrategy', 'replication_factor': 3} AND durable_writes = false")
    env.execute(f"CREATE KEYSPACE {second} WITH replication = "
                f"{{'class': 'NetworkTopologyStrategy', '{datacenter}': 2}}")
    for keyspace in (first, second):
        for statement in TYPES + TABLES:
            env.execute(statement.format(keyspace))
    return first, second


def drop(env, *names):
    for name in names:
        env.execute(f"DROP KEYSPACE IF EXISTS {name}")


def statements(text):
    """The statements of a text: each ends with a semicolon outside of quotes."""
    found, current, quote = [], "", None
    for mark in text:
        current += mark
        if quote:
            quote = None if mark == quote else quote
        elif mark in "'\"":
            quote = mark
        elif mark == ";":
            found.append(current.strip())
            current = ""
    equal(current.strip(), "", "what follows the last statement")
    return found


def described(env, statement):
    return [tuple(row) for row in env.rows(statement)]


def rows(env, names, without=()):
    """The rows of system_schema that tell of these keyspaces, without the columns named."""
    result = {}
    for table in SCHEMA_TABLES:
        for name in names:
            statement = SimpleStatement(
                f"SELECT * FROM system_schema.{table} WHERE keyspace_name = '{name.strip(chr(34))}'",
                consistency_level=ConsistencyLevel.ONE)
            answer = env.session.execute(statement)
            keep = [place for place, column in enumerate(answer.column_names) if column not in without]
            result[table, name] = [tuple(str(row[place]) for place in keep) for row in answer]
    return result


def run_again(env, texts):
    for text in texts:
        for statement in statements(text):
            env.execute(statement)


def round_trip(env, describe, without):
    """Describes, drops, runs it all again and compares."""
    names = keyspaces(env)
    texts = [row for name in names for row in described(env, describe.format(name))]
    before = rows(env, names, without)
    true(len(before["tables", names[0]]) >= 18 and len(before["types", names[0]]) == 4, before)
    drop(env, *names)
    run_again(env, [row[3] for row in texts])
    equal([row for name in names for row in described(env, describe.format(name))], texts)
    after = rows(env, names, without)
    for key, found in before.items():
        if key[0] not in without:
            equal(after[key], found, str(key))
    drop(env, *names)


@behaviour
def what_DESCRIBE_KEYSPACE_says_makes_the_keyspace_again(env):
    round_trip(env, "DESCRIBE KEYSPACE {0}", ("id", "dropped_columns"))


@behaviour
def with_internals_also_its_ids_and_what_was_dropped(env):
    round_trip(env, "DESCRIBE KEYSPACE {0} WITH INTERNALS", ())


@behaviour
def what_DESCRIBE_SCHEMA_says_makes_all_of_it_again(env):
    names = keyspaces(env)
    quoted = [name for name in names]
    texts = [row for row in described(env, "DESCRIBE SCHEMA WITH INTERNALS") if row[0] in quoted]
    before = rows(env, names)
    drop(env, *names)
    run_again(env, [row[3] for row in texts])
    equal([row for row in described(env, "DESCRIBE SCHEMA WITH INTERNALS") if row[0] in quoted], texts)
    equal(rows(env, names), before)
    drop(env, *names)


@behaviour
def columns_of_several_cells_are_described_last(env):
    """SELECT * has all columns of a kind by name."""
    table = env.table(
        "k int, c int, a list<int>, b int, d frozen<list<int>>, e map<int, int>, f text, st set<int> static, "
        "su int static, PRIMARY KEY (k, c)")
    text = env.rows(f"DESCRIBE TABLE {table}")[0][3]
    equal([line.split()[0] for line in text.split("\n") if line.startswith("    ")][:9],
          ["k", "c", "su", "st", "b", "d", "f", "a", "e"])
    equal(list(env.session.execute(f"SELECT * FROM {table}").column_names), [
        "k", "c", "st", "su", "a", "b", "d", "e", "f"])


@behaviour
def what_is_described_has_pages_and_the_schema_may_not_change_between_them(env):
    env.table("k int PRIMARY KEY")
    for text in ("DESCRIBE KEYSPACES", "DESCRIBE TABLES", "DESCRIBE FULL SCHEMA WITH INTERNALS"):
        whole = env.rows(SimpleStatement(text, fetch_size=None))
        for size in (1, 2, len(whole), len(whole) + 1):
            answer = env.session.execute(SimpleStatement(text, fetch_size=size))
            equal(len(answer.current_rows), min(size, len(whole)), text)
            equal(answer.has_more_pages, size < len(whole), text)
            equal(list(answer), whole, text)
    answer = env.session.execute(SimpleStatement("DESCRIBE TABLES", fetch_size=1))
    state = answer.paging_state
    env.table("k int PRIMARY KEY")
    env.refused(InvalidRequest, "The schema has changed since the previous page", lambda: answer.fetch_next_page())
    for wrong in (state[:-1], state + b"x", b"\0" + state[1:]):
        env.refused(InvalidRequest, "Invalid value for the paging state", lambda: env.session.execute(
            SimpleStatement("DESCRIBE TABLES", fetch_size=1), paging_state=wrong))


ROW = ["keyspace_name", "type", "name"]


@behaviour
def every_form_of_DESCRIBE_has_its_columns(env):
    keyspace, kind, table = env.keyspace, "shape", env.table("k int PRIMARY KEY")
    env.execute(f"CREATE TYPE IF NOT EXISTS {kind} (a int)")
    for statement in ("DESCRIBE KEYSPACES", "DESC TABLES", "DESCRIBE TYPES", "DESCRIBE FUNCTIONS",
                      "DESCRIBE AGGREGATES"):
        answer = env.session.execute(statement)
        equal(answer.column_names, ROW, statement)
    full = ROW + ["create_statement"]
    for statement in ("DESCRIBE SCHEMA", "DESCRIBE FULL SCHEMA", f"DESCRIBE KEYSPACE {keyspace}", "DESCRIBE KEYSPACE",
                      f"DESCRIBE ONLY KEYSPACE {keyspace}", f"DESCRIBE TABLE {table}", f"DESC TABLE {keyspace}.{table}",
                      f"DESCRIBE TYPE {kind}", f"DESCRIBE {keyspace}", f"DESCRIBE {table}", f"DESCRIBE {keyspace}.{table}",
                      f"DESCRIBE TABLE {table} WITH INTERNALS", "DESCRIBE SCHEMA WITH INTERNALS"):
        answer = env.session.execute(statement)
        equal(answer.column_names, full, statement)
        true(all(row[3].rstrip().endswith((";", "*/")) for row in answer), statement)
    names = [row for row in env.rows("DESCRIBE TABLES") if row[0] == keyspace]
    true((keyspace, "table", table) in names, names)
    true((keyspace, "type", kind) in env.rows("DESCRIBE TYPES"), "the type")
    equal(env.rows("DESCRIBE FUNCTIONS"), [])
    equal(env.rows("DESCRIBE AGGREGATES"), [])
    true((keyspace, "keyspace", keyspace) in env.rows("DESCRIBE KEYSPACES"), "the keyspace")


@behaviour
def DESCRIBE_CLUSTER_tells_name_partitioner_and_snitch(env):
    session = env.cluster(schema_metadata_enabled=False).connect()
    answer = session.execute("DESCRIBE CLUSTER")
    equal(answer.column_names, ["cluster", "partitioner", "snitch"])
    row = answer.one()
    equal(row[0], env.rows("SELECT cluster_name FROM system.local")[0][0])
    equal(row[1], "Murmur3Partitioner")
    true("Snitch" in row[2], row[2])
    session.execute(f"USE {env.keyspace}")
    answer = session.execute("DESCRIBE CLUSTER")
    equal(answer.column_names, ["cluster", "partitioner", "snitch", "range_ownership"])
    owners = answer.one()[3]
    equal(len(owners), 16 * len(env.ring.addresses))
    for token, nodes in owners.items():
        int(token)
        true(nodes and all(node.split(":")[0] in env.ring.addresses for node in nodes), f"{token}: {nodes}")


@behaviour
def DESCRIBE_is_paged_like_a_select(env):
    for page in (1, 3):
        rows = env.rows(SimpleStatement("DESCRIBE FULL SCHEMA", fetch_size=page))
        equal(rows, env.rows("DESCRIBE FULL SCHEMA"), f"pages of {page}")


@behaviour
def each_element_is_described_alone_as_in_its_keyspace(env):
    names = keyspaces(env)
    for name in names:
        for keyspace, kind, element, text in described(env, f"DESCRIBE KEYSPACE {name}"):
            equal(keyspace, name)
            if kind == "keyspace":
                equal(described(env, f"DESCRIBE ONLY KEYSPACE {name}"), [(name, kind, element, text)])
            else:
                equal(described(env, f"DESCRIBE {kind} {name}.{element}"), [(name, kind, element, text)])
    drop(env, *names)


@behaviour
@needs(3)
def a_table_that_is_made_again_under_its_id_is_empty_also_after_a_kill(env):
    name = env.table("k int PRIMARY KEY, v text")
    for key in range(20):
        env.execute(f"INSERT INTO {name} (k, v) VALUES ({key}, 'before')")
    text = env.rows(f"DESCRIBE TABLE {name} WITH INTERNALS")[0][3]
    env.execute(f"DROP TABLE {name}")
    run_again(env, [text])
    equal(env.rows(f"DESCRIBE TABLE {name} WITH INTERNALS")[0][3], text)
    equal(env.rows(f"SELECT * FROM {name}"), [])
    env.execute(f"INSERT INTO {name} (k, v) VALUES (1, 'after')")
    env.ring.kill(2)
    env.ring.start(2)
    session = env.only(2, consistency_level=ConsistencyLevel.ONE)
    # What node 2 has of its own: the data's owner answers first at ONE.
    eventually(lambda: equal([tuple(row) for row in session.execute(f"SELECT k, v FROM {name}")], [(1, "after")]))
    everyone = SimpleStatement(f"SELECT k, v FROM {name}", consistency_level=ConsistencyLevel.ALL)
    eventually(lambda: equal([tuple(row) for row in session.execute(everyone)], [(1, "after")]))
