"""What is too large: each is either done at a bounded cost or refused with a text that says what is too much."""

import struct

from cassandra import InvalidRequest
from cassandra.protocol import SyntaxException
from cassandra.query import BatchStatement, BatchType, SimpleStatement

import wire
from harness import behaviour, equal, true
from wire import Wire


def small(env):
    return env.shared("small", lambda: env.table("k int PRIMARY KEY, v text"))


def alive(env):
    equal(env.rows("SELECT key FROM system.local"), [("local",)])


@behaviour
def a_statement_of_a_megabyte_is_executed(env):
    text = "x" * 1_000_000
    env.execute(f"INSERT INTO {small(env)} (k, v) VALUES (1, '{text}')")
    true(env.rows(f"SELECT v FROM {small(env)} WHERE k = 1") == [(text,)], "the value came back")


@behaviour
def a_comment_of_ten_megabytes_is_skipped(env):
    equal(len(env.rows(f"SELECT k FROM {small(env)} WHERE k = 1 /* {'x' * 10_000_000} */")), 1)


@behaviour
def a_prepared_statement_of_a_megabyte_is_refused_or_kept(env):
    statement = env.session.prepare(f"SELECT k FROM {small(env)} WHERE k = ? /* {'y' * 1_000_000} */")
    equal(env.rows(statement, (1,)), [(1,)])


@behaviour
def a_hundred_thousand_keys_in_IN_are_refused(env):
    keys = ", ".join(str(k) for k in range(100_000))
    env.refused(InvalidRequest, "IN", lambda: env.execute(f"SELECT k FROM {small(env)} WHERE k IN ({keys})"))
    alive(env)


@behaviour
def a_hundred_thousand_bound_keys_in_IN_are_refused(env):
    statement = env.session.prepare(f"SELECT k FROM {small(env)} WHERE k IN ?")
    env.refused(InvalidRequest, "IN", lambda: env.execute(statement, (list(range(100_000)),)))
    alive(env)


@behaviour
def a_product_of_INs_that_is_too_large_is_refused(env):
    name = env.table("a int, b int, c int, PRIMARY KEY ((a, b), c)")
    many = ", ".join(str(k) for k in range(1000))
    env.refused(
        InvalidRequest, "IN", lambda: env.execute(f"SELECT c FROM {name} WHERE a IN ({many}) AND b IN ({many})"))
    alive(env)


def nested(open_bracket, close_bracket, depth):
    return open_bracket * depth + "1" + close_bracket * depth


@behaviour
def ten_thousand_nested_brackets_are_refused(env):
    for left, right in (("(", ")"), ("[", "]"), ("{", "}"), ("abs(", ")"), ("-", ""), ("(int)", "")):
        env.refused(
            (SyntaxException, InvalidRequest), "", lambda left=left, right=right: env.execute(
                f"INSERT INTO {small(env)} (k, v) VALUES ({nested(left, right, 10_000)}, 'x')"))
        env.refused(
            (SyntaxException, InvalidRequest), "", lambda left=left, right=right: env.execute(
                f"SELECT {nested(left, right, 10_000)} FROM {small(env)}"))
    alive(env)


@behaviour
def ten_thousand_nested_types_are_refused(env):
    for text in ("frozen<list<" * 10_000 + "int" + ">>" * 10_000, "list<" * 10_000, "tuple<" * 10_000 + "int" + ">" * 10_000):
        env.refused(
            (SyntaxException, InvalidRequest), "", lambda text=text: env.execute(
                f"CREATE TABLE deep (k int PRIMARY KEY, v {text})"))
    alive(env)


@behaviour
def a_sum_of_ten_thousand_terms_is_refused_or_computed(env):
    text = " + ".join(["1"] * 10_000)
    try:
        env.execute(f"INSERT INTO {small(env)} (k, v) VALUES ({text}, 'x')")
    except (SyntaxException, InvalidRequest):
        pass
    alive(env)


@behaviour
def a_list_of_a_hundred_thousand_elements_is_kept(env):
    name = env.table("k int PRIMARY KEY, v frozen<list<int>>")
    statement = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (1, ?)")
    env.execute(statement, (list(range(100_000)),))
    equal(len(env.rows(f"SELECT v FROM {name}")[0][0]), 100_000)


@behaviour
def more_markers_than_can_be_bound_are_refused(env):
    markers = ", ".join("?" * 65_536)
    env.refused(
        InvalidRequest, "markers exceed the allowed maximum of 65535",
        lambda: env.session.prepare(f"SELECT k FROM {small(env)} WHERE k IN ({markers})"))


@behaviour
def a_partition_key_over_64_kilobytes_is_refused(env):
    name = env.table("k text PRIMARY KEY")
    statement = env.session.prepare(f"INSERT INTO {name} (k) VALUES (?)")
    env.refused(
        InvalidRequest, "Key length of 65536 is longer than maximum of 65535",
        lambda: env.execute(statement, ("x" * 65_536,)))
    env.execute(statement, ("x" * 65_535,))


@behaviour
def a_clustering_key_over_64_kilobytes_is_refused(env):
    name = env.table("k int, c text, PRIMARY KEY (k, c)")
    statement = env.session.prepare(f"INSERT INTO {name} (k, c) VALUES (1, ?)")
    env.refused(
        InvalidRequest, "Key length of 70000 is longer than maximum of 65535",
        lambda: env.execute(statement, ("x" * 70_000,)))


@behaviour
def keys_of_several_columns_are_measured_by_their_values(env):
    name = env.table("a text, b text, c text, d text, v int, PRIMARY KEY ((a, b), c, d)")
    insert = env.session.prepare(f"INSERT INTO {name} (a, b, c, d, v) VALUES (?, ?, ?, ?, 1)")
    update = env.session.prepare(f"UPDATE {name} SET v = 1 WHERE a = ? AND b = ? AND c = ? AND d = ?")
    delete = env.session.prepare(f"DELETE FROM {name} WHERE a = ? AND b = ? AND c = ? AND d IN (?)")
    long, short = "x" * 40_000, "x"
    for statement in (insert, update, delete):
        for key in ((long, long, short, short), (short, short, long, long)):
            env.refused(
                InvalidRequest, "Key length of 80000 is longer than maximum of 65535",
                lambda: env.execute(statement, key))
    env.execute(insert, (long, "x" * 25_529, long, "x" * 25_535))
    equal(len(env.rows(f"SELECT v FROM {name}")), 1)


@behaviour
def a_mutation_that_no_log_takes_is_refused(env):
    name = env.table("k int PRIMARY KEY, v blob")
    statement = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (1, ?)")
    env.refused(InvalidRequest, "oversized mutation", lambda: env.execute(statement, (b"x" * 40_000_000,)))
    alive(env)


@behaviour
def a_batch_that_is_too_large_is_refused(env):
    name = env.table("k int PRIMARY KEY, v blob")
    statement = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (?, ?)")
    batch = BatchStatement(BatchType.LOGGED)
    for k in range(100):
        batch.add(statement, (k, b"x" * 10_000))
    env.refused(InvalidRequest, "Batch too large", lambda: env.execute(batch))
    equal(env.rows(f"SELECT count(*) FROM {name}"), [(0,)])


@behaviour
def a_page_of_a_hundred_megabytes_is_bounded(env):
    name = env.table("k int, c int, v blob, PRIMARY KEY (k, c)")
    statement = env.session.prepare(f"INSERT INTO {name} (k, c, v) VALUES (1, ?, ?)")
    for c in range(100):
        env.execute(statement, (c, b"x" * 1_000_000))
    query = SimpleStatement(f"SELECT c, v FROM {name} WHERE k = 1", fetch_size=5000)
    result = env.session.execute(query)
    first = len(result.current_rows)
    true(first < 100, f"the first page has {first} rows of a megabyte")
    found = [row[0] for row in result]
    equal(found, list(range(100)))


@behaviour
def a_table_of_a_thousand_columns_works(env):
    columns = ", ".join(f"c{n} int" for n in range(1000))
    name = env.table("k int PRIMARY KEY, " + columns)
    env.execute(f"INSERT INTO {name} (k, {', '.join(f'c{n}' for n in range(1000))}) VALUES "
                f"(1, {', '.join(str(n) for n in range(1000))})")
    equal(env.rows(f"SELECT * FROM {name}")[0][1:4], (0, 1, 10))


@behaviour
def two_thousand_prepared_statements_are_kept_or_prepared_again(env):
    statements = [
        env.session.prepare(f"SELECT v FROM {small(env)} WHERE k = ? /* {n} */") for n in range(2000)]
    for statement in (statements[0], statements[1000], statements[-1]):
        equal(len(env.rows(statement, (1,))), 1)


@behaviour
def a_frame_that_announces_256_megabytes_costs_nothing(env):
    with Wire(env.ring.addresses[0], env.ring.port) as connection:
        connection.start()
        connections = []
        for _ in range(20):
            other = Wire(env.ring.addresses[0], env.ring.port)
            other.start()
            other.raw(struct.pack(">BBhBi", 4, 0, 1, wire.QUERY, 200_000_000) + b"x" * 1000)
            connections.append(other)
        connection.query("SELECT key FROM system.local")
        equal(connection.receive().kind, 2)
        for other in connections:
            other.socket.close()


@behaviour
def a_count_in_a_body_that_lies_costs_nothing(env):
    with Wire(env.ring.addresses[0], env.ring.port) as connection:
        connection.start()
        for body in (struct.pack(">BH", 0, 0xFFFF), struct.pack(">H", 0xFFFF), struct.pack(">i", 0x7FFFFFFF)):
            for opcode in (wire.BATCH, wire.REGISTER, wire.EXECUTE, wire.PREPARE, wire.QUERY):
                equal(connection.ask(opcode, body).opcode, wire.ERROR, f"opcode {opcode}")
