"""SELECT ... FROM MUTATION_FRAGMENTS(t): what each memtable and each SSTable of the node that is asked has of a
partition, before anything is merged. The statement, its columns and its JSON are ScyllaDB's."""

import json

from cassandra import InvalidRequest
from cassandra.protocol import SyntaxException
from cassandra.query import SimpleStatement, named_tuple_factory

from harness import behaviour, equal, eventually, needs, refusals, true


def node(env):
    """Always the same coordinator: fragments are its own."""
    return env.shared("node", lambda: env.only(1, row_factory=named_tuple_factory))


def flush(env, name):
    code, _, errors = env.ring.admin("flush", env.keyspace, name, node=1)
    equal(code, 0, errors)


def fragments(env, name, where="", what="*"):
    return list(node(env).execute(f"SELECT {what} FROM MUTATION_FRAGMENTS({name}) {where}"))


def places(rows):
    return [(r.mutation_source, r.partition_region, r.c1, r.c2, r.position_weight, r.mutation_fragment_kind)
            for r in rows]


def table(env, options=""):
    return env.table("k int, c1 int, c2 int, v text, s text static, PRIMARY KEY (k, c1, c2)", options)


@behaviour
def a_partition_is_shown_from_start_to_end(env):
    name = table(env)
    for statement in [
            f"DELETE FROM {name} USING TIMESTAMP 10 WHERE k = 1",
            f"UPDATE {name} USING TIMESTAMP 20 SET s = 'static' WHERE k = 1",
            f"DELETE FROM {name} USING TIMESTAMP 11 WHERE k = 1 AND c1 = 0 AND c2 > 0 AND c2 < 3",
            f"INSERT INTO {name} (k, c1, c2, v) VALUES (1, 0, 1, 'one') USING TIMESTAMP 21",
            f"INSERT INTO {name} (k, c1, c2, v) VALUES (1, 0, 2, 'two') USING TIMESTAMP 22"]:
        node(env).execute(statement)
    rows = fragments(env, name, "WHERE k = 1")
    m = "memtable:0"
    equal(places(rows), [
        (m, 0, None, None, None, "partition start"),
        (m, 1, None, None, None, "static row"),
        (m, 2, 0, 0, 1, "range tombstone change"),
        (m, 2, 0, 1, 0, "clustering row"),
        (m, 2, 0, 2, 0, "clustering row"),
        (m, 2, 0, 3, -1, "range tombstone change"),
        (m, 3, None, None, None, "partition end")])
    metadata = [r.metadata and json.loads(r.metadata) for r in rows]
    equal(metadata[0]["tombstone"]["timestamp"], 10)
    equal(metadata[1], {"s": {"is_live": True, "type": "regular", "timestamp": 20}})
    equal(metadata[2]["tombstone"]["timestamp"], 11)
    equal(metadata[3], {"marker": {"timestamp": 21},
                        "columns": {"v": {"is_live": True, "type": "regular", "timestamp": 21}}})
    equal((metadata[5], metadata[6]), ({"tombstone": {}}, None))
    equal([r.value for r in rows], [
        None, '{"s":"static"}', None, '{"v":"one"}', '{"v":"two"}', None, None])


@behaviour
def each_memtable_and_file_has_fragments_of_its_own(env):
    name = table(env, "WITH compaction = {'class': 'SizeTieredCompactionStrategy', 'enabled': 'false'}")
    for value in ["first", "second"]:
        node(env).execute(f"INSERT INTO {name} (k, c1, c2, v) VALUES (1, 0, 0, '{value}')")
        flush(env, name)
    node(env).execute(f"DELETE v FROM {name} WHERE k = 1 AND c1 = 0 AND c2 = 0")
    found = fragments(env, name, "WHERE k = 1 AND mutation_fragment_kind = 'clustering row' ALLOW FILTERING")
    sources = [r.mutation_source for r in found]
    equal(sources[0], "memtable:0")
    true(len(set(sources)) == 3 and all(s.startswith("sstable:") for s in sources[1:]), sources)
    equal(sources, sorted(sources))
    equal([r.value for r in found], ["{}", '{"v":"first"}', '{"v":"second"}'])
    equal(json.loads(found[0].metadata)["columns"]["v"]["is_live"], False)
    # A read of the table sees them as one, and the row is still there by its marker.
    equal([tuple(r) for r in node(env).execute(f"SELECT c1, v FROM {name} WHERE k = 1")], [(0, None)])
    equal({r.mutation_source for r in fragments(
        env, name, "WHERE k = 1 AND mutation_source >= 'sstable' AND mutation_source < 'sstable;'")},
        set(sources[1:]))


@behaviour
def what_a_compaction_leaves_is_one_source(env):
    name = table(env)
    for value in ["first", "second"]:
        node(env).execute(f"INSERT INTO {name} (k, c1, c2, v) VALUES (1, 0, 0, '{value}')")
        flush(env, name)
    code, _, errors = env.ring.admin("compact", env.keyspace, name, node=1)
    equal(code, 0, errors)

    def one_source():
        rows = fragments(env, name, "WHERE k = 1")
        equal(len({r.mutation_source for r in rows}), 1)
        equal([r.value for r in rows if r.value], ['{"v":"second"}'])

    eventually(one_source)


@behaviour
def a_deletion_of_a_prefix_stands_before_and_behind_its_rows(env):
    name = env.table("k int, c1 int, c2 int, v text, PRIMARY KEY (k, c1, c2)",
                     "WITH CLUSTERING ORDER BY (c1 ASC, c2 DESC)")
    node(env).execute(f"DELETE FROM {name} WHERE k = 1 AND c1 = 5")
    for c2 in [1, 2]:
        node(env).execute(f"INSERT INTO {name} (k, c1, c2, v) VALUES (1, 5, {c2}, 'x')")
    rows = fragments(env, name, "WHERE k = 1 AND mutation_source = 'memtable:0' AND partition_region = 2")
    equal([(r.c1, r.c2, r.position_weight) for r in rows], [(5, None, -1), (5, 2, 0), (5, 1, 0), (5, None, 1)])
    rows = fragments(env, name, "WHERE k = 1 AND mutation_source = 'memtable:0' AND partition_region = 2 AND c1 = 5")
    equal(len(rows), 4)


@behaviour
def rows_of_a_slice_are_shown(env):
    name = table(env)
    for c1, c2 in [(0, 0), (0, 20), (1, 20)]:
        node(env).execute(f"INSERT INTO {name} (k, c1, c2, v) VALUES (1, {c1}, {c2}, 'x')")
    for c1, low, high, wanted in [(0, 0, 1, [0]), (0, 1, 20, []), (0, 1, 21, [20]), (1, 0, 20, []), (1, 0, 21, [20])]:
        rows = fragments(
            env, name, f"WHERE k = 1 AND mutation_source = 'memtable:0' AND partition_region = 2 AND c1 = {c1} "
            f"AND c2 >= {low} AND c2 < {high}")
        equal([r.c2 for r in rows], wanted, (c1, low, high))
    rows = fragments(
        env, name, "WHERE k = 1 AND (mutation_source, partition_region, c1, c2, position_weight) IN "
        "(('memtable:0', 2, 0, 20, 0), ('memtable:0', 2, 1, 20, 0))")
    equal([(r.c1, r.c2) for r in rows], [(0, 20), (1, 20)])


def collections(env):
    def make():
        node(env).execute("CREATE TYPE IF NOT EXISTS person (name text, age int)")
        return env.table(
            "k int PRIMARY KEY, l list<text>, s set<decimal>, m map<int, text>, u person, f frozen<list<int>>, "
            "t text")

    return env.shared("collections", make)


@behaviour
def a_collection_is_shown_cell_by_cell(env):
    name = collections(env)
    node(env).execute(
        f"INSERT INTO {name} (k, l, s, m, u, f) VALUES (1, ['a', 'b'], {{1.50}}, {{7: 'seven'}}, "
        "{name: 'x', age: 3}, [1, 2]) USING TIMESTAMP 50 AND TTL 1000")
    node(env).execute(f"DELETE m[8] FROM {name} USING TIMESTAMP 60 WHERE k = 1")
    row = [r for r in fragments(env, name, "WHERE k = 1") if r.mutation_fragment_kind == "clustering row"][0]
    columns = json.loads(row.metadata)["columns"]
    value = json.loads(row.value)
    equal(columns["m"]["type"], "collection")
    equal(columns["m"]["tombstone"]["timestamp"], 49)
    equal([(c["key"], c["value"]["is_live"], c["value"]["timestamp"]) for c in columns["m"]["cells"]],
          [("7", True, 50), ("8", False, 60)])
    equal(value["m"], [{"key": "7", "value": "seven"}, {"key": "8"}])
    equal([e["value"] for e in value["l"]], ["a", "b"])
    equal(value["s"], [{"key": "1.50", "value": ""}])
    equal(value["u"], [{"key": "name", "value": "x"}, {"key": "age", "value": "3"}])
    equal((columns["f"]["type"], value["f"]), ("frozen-collection", "[1, 2]"))
    equal(columns["f"]["ttl"], "1000s")
    true("t" not in columns, "a column that was not written is not there")


@behaviour
def a_counter_is_shown_with_its_shards(env):
    name = env.table("k int PRIMARY KEY, n counter")
    for _ in range(3):
        node(env).execute(f"UPDATE {name} SET n = n + 2 WHERE k = 1")
    row = [r for r in fragments(env, name, "WHERE k = 1") if r.mutation_fragment_kind == "clustering row"][0]
    equal(json.loads(row.metadata)["columns"]["n"]["type"], "counter-shards")
    shards = json.loads(row.value)["n"]
    equal(sum(shard["value"] for shard in shards), 6)
    true(all(len(shard["id"]) == 36 and shard["clock"] > 0 for shard in shards), shards)


@behaviour
def pages_show_each_fragment_once(env):
    name = table(env)
    for c in range(43):
        node(env).execute(f"INSERT INTO {name} (k, c1, c2, v) VALUES (1, 0, {c}, 'x')")
        if c == 20:
            flush(env, name)
    result = node(env).execute(SimpleStatement(
        f"SELECT * FROM mutation_fragments({name}) WHERE k = 1", fetch_size=10))
    sizes, seen = [], []
    while True:
        rows = list(result.current_rows)
        sizes.append(len(rows))
        seen += places(rows)
        if not result.has_more_pages:
            break
        result.fetch_next_page()
    equal(sizes, [10, 10, 10, 10, 7])
    equal(seen, places(fragments(env, name, "WHERE k = 1")))


@behaviour
def a_scan_shows_all_partitions(env):
    name = env.table("k int PRIMARY KEY, v text")
    for k in range(300):
        node(env).execute(f"INSERT INTO {name} (k, v) VALUES ({k}, 'x')")
        if k % 3 == 0:
            node(env).execute(f"DELETE FROM {name} WHERE k = {k}")
        if k == 150:
            flush(env, name)
    rows = list(node(env).execute(SimpleStatement(
        f"SELECT k, mutation_fragment_kind, metadata FROM MUTATION_FRAGMENTS({name})", fetch_size=70)))
    starts = [(r.k, json.loads(r.metadata)["tombstone"] != {}) for r in rows
              if r.mutation_fragment_kind == "partition start"]
    equal(sorted(starts), [(k, k % 3 == 0) for k in range(300)])
    equal(sum(r.mutation_fragment_kind == "partition end" for r in rows), 300)


@behaviour
def fragments_are_counted_and_grouped(env):
    name = table(env)
    node(env).execute(f"UPDATE {name} SET s = 'x' WHERE k = 1")
    for c in range(10):
        node(env).execute(f"INSERT INTO {name} (k, c1, c2, v) VALUES (1, 0, {c}, 'x')")
    for kind, count in [("partition start", 1), ("static row", 1), ("clustering row", 10), ("partition end", 1)]:
        rows = fragments(env, name, f"WHERE k = 1 AND mutation_fragment_kind = '{kind}' ALLOW FILTERING", "count(*)")
        equal(rows[0].count, count, kind)
    rows = fragments(env, name, "WHERE k = 1 GROUP BY mutation_source, partition_region",
                     "partition_region, count(*)")
    equal([tuple(r) for r in rows], [(0, 1), (1, 1), (2, 10), (3, 1)])


@behaviour
def a_partition_that_is_nowhere_shows_nothing(env):
    equal(fragments(env, table(env), "WHERE k = 1"), [])


@behaviour
def a_prepared_statement_shows_fragments(env):
    name = table(env)
    node(env).execute(f"INSERT INTO {name} (k, c1, c2, v) VALUES (4, 0, 0, 'x')")
    statement = node(env).prepare(
        f"SELECT * FROM MUTATION_FRAGMENTS({name}) WHERE k = ? AND mutation_source = ?")
    equal(len(list(node(env).execute(statement, (4, "memtable:0")))), 3)


@behaviour
def cells_of_a_dropped_column_are_still_there(env):
    name = env.table("k int PRIMARY KEY, v int, w int")
    node(env).execute(f"INSERT INTO {name} (k, v, w) VALUES (1, 2, 3)")
    node(env).execute(f"ALTER TABLE {name} DROP w")
    row = [r for r in fragments(env, name, "WHERE k = 1") if r.mutation_fragment_kind == "clustering row"][0]
    equal(json.loads(row.value), {"v": "2", "w (dropped)": "3"})


@behaviour
@needs(3)
def each_node_shows_its_own(env):
    name = table(env)
    node(env).execute(SimpleStatement(f"INSERT INTO {name} (k, c1, c2, v) VALUES (1, 0, 0, 'x')"))
    flush(env, name)
    first = {r.mutation_source for r in fragments(env, name, "WHERE k = 1")}
    true(all(source.startswith("sstable:") for source in first), first)
    other = env.only(2, row_factory=named_tuple_factory)
    equal({r.mutation_source for r in other.execute(f"SELECT * FROM MUTATION_FRAGMENTS({name}) WHERE k = 1")},
          {"memtable:0"})
    page = node(env).execute(SimpleStatement(
        f"SELECT * FROM MUTATION_FRAGMENTS({name}) WHERE k = 1", fetch_size=1))
    env.refused(
        InvalidRequest, "Moving between coordinators is not allowed in SELECT FROM MUTATION_FRAGMENTS() statements",
        lambda: other.execute(
            SimpleStatement(f"SELECT * FROM MUTATION_FRAGMENTS({name}) WHERE k = 1", fetch_size=1),
            paging_state=page.paging_state))


def names(env):
    def make():
        clash = env.table("value int PRIMARY KEY, v int")
        return {"t": table(env), "clash": clash}

    return env.shared("names", make)


refusals([
    ("an order", "SELECT * FROM MUTATION_FRAGMENTS($t) WHERE k = 1 ORDER BY mutation_source DESC", InvalidRequest,
     "ORDER BY is not supported in SELECT FROM MUTATION_FRAGMENTS() statements"),
    ("fragments of a view of the node", "SELECT * FROM MUTATION_FRAGMENTS(system_views.settings)", InvalidRequest,
     "SELECT FROM MUTATION_FRAGMENTS() is not supported for system_views.settings: its rows are not stored"),
    ("fragments of a table that is not stored", "SELECT * FROM MUTATION_FRAGMENTS(system.local)", InvalidRequest,
     "SELECT FROM MUTATION_FRAGMENTS() is not supported for system.local: its rows are not stored"),
    ("fragments of a table whose key is named like a column of fragments",
     "SELECT * FROM MUTATION_FRAGMENTS($clash)", InvalidRequest,
     "SELECT FROM MUTATION_FRAGMENTS() has a column value of its own"),
    ("a column of the table", "SELECT v FROM MUTATION_FRAGMENTS($t)", InvalidRequest, "Undefined column name v"),
    ("deleting fragments", "DELETE FROM MUTATION_FRAGMENTS($t) WHERE k = 1", SyntaxException, ""),
    ("changing fragments", "UPDATE MUTATION_FRAGMENTS($t) SET value = '' WHERE k = 1", SyntaxException, ""),
    ("fragments of a table that is not there", "SELECT * FROM MUTATION_FRAGMENTS(nowhere)", InvalidRequest,
     "table nowhere does not exist"),
], names)
