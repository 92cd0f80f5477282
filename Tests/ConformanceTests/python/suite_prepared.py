"""Prepared statements: what is known of them, and how they outlive changes and restarts."""

import hashlib
import struct

import wire
from cassandra import ConsistencyLevel, InvalidRequest, Unauthorized
from cassandra.cluster import ResponseFuture
from cassandra.protocol import PrepareMessage, SyntaxException

from harness import behaviour, equal, eventually, needs, true


@behaviour
def markers_have_the_names_and_types_of_their_columns(env):
    name = env.table("k int, c text, v frozen<list<bigint>>, PRIMARY KEY (k, c)")
    statement = env.session.prepare(
        f"SELECT v FROM {name} WHERE k = ? AND c > ? LIMIT ?")
    equal([column.name for column in statement.column_metadata], ["k", "c", "[limit]"])
    equal(
        [column.type.cql_parameterized_type() for column in statement.column_metadata],
        ["int", "varchar", "int"])
    statement = env.session.prepare(
        f"UPDATE {name} USING TTL ? AND TIMESTAMP ? SET v = ? WHERE k = ? AND c IN ?")
    equal(
        [column.name for column in statement.column_metadata],
        ["[ttl]", "[timestamp]", "v", "k", "in(c)"])
    name = env.table("k int PRIMARY KEY, v int, l list<int>, s set<text>, m map<text, bigint>")
    statement = env.session.prepare(
        f"UPDATE {name} SET v = ? WHERE k = ? IF l CONTAINS ? AND s CONTAINS ? AND m CONTAINS KEY ? AND m CONTAINS ?")
    equal(
        [(column.name, column.type.cql_parameterized_type()) for column in statement.column_metadata],
        [("v", "int"), ("k", "int"), ("value(l)", "int"), ("value(s)", "varchar"), ("key(m)", "varchar"),
         ("value(m)", "bigint")])


@behaviour
def the_partition_key_of_a_bound_statement_is_known(env):
    name = env.table("a int, b text, v int, PRIMARY KEY ((a, b))")
    statement = env.session.prepare(f"SELECT v FROM {name} WHERE b = ? AND a = ?")
    equal(list(statement.routing_key_indexes), [1, 0])


@behaviour
def a_result_has_the_columns_of_the_select(env):
    name = env.table("k int PRIMARY KEY, v text")
    statement = env.session.prepare(f"SELECT v AS value, k FROM {name}")
    equal([column[2] for column in statement.result_metadata], ["value", "k"])


@behaviour
def errors_come_when_the_statement_is_prepared(env):
    env.refused(InvalidRequest, "nowhere", lambda: env.session.prepare("SELECT * FROM nowhere"))
    env.refused(SyntaxException, "line 1:0", lambda: env.session.prepare("SELEC * FROM t"))


@behaviour
def schema_statements_can_be_prepared(env):
    name = env.table("k int PRIMARY KEY")
    env.execute(env.session.prepare(f"DROP TABLE {name}"))


@behaviour
def too_many_values_are_refused(env):
    name = env.table("k int PRIMARY KEY")
    statement = env.session.prepare(f"SELECT k FROM {name} WHERE k = ?")
    bound = statement.bind((1,))
    bound.values.append(b"\0\0\0\1")
    env.refused(InvalidRequest, "bind variables", lambda: env.execute(bound))


@behaviour
@needs(3)
def a_statement_that_one_node_forgot_is_prepared_again(env):
    name = env.table("k int PRIMARY KEY, v int")
    session = env.only(2)
    statement = session.prepare(f"INSERT INTO {env.keyspace}.{name} (k, v) VALUES (?, ?)")
    session.execute(statement, (1, 1))
    env.ring.kill(2)
    env.ring.start(2)
    eventually(lambda: session.execute(statement, (2, 2)))
    equal(sorted(env.rows(f"SELECT k, v FROM {name}")), [(1, 1), (2, 2)])


def prepare(connection, text):
    """The id of a statement, which may hold single quotes and no marker."""
    reply = connection.ask(wire.PREPARE, wire.long_string(text))
    equal(reply.kind, 4, "the kind of the result")
    return reply.content[6:6 + struct.unpack(">H", reply.content[4:6])[0]]


def execute(connection, identifier):
    """What an id without values is answered, at ONE."""
    return connection.ask(wire.EXECUTE, struct.pack(">H", len(identifier)) + identifier + struct.pack(">HB", 1, 0))


def by_wire(env, node):
    return wire.Wire(env.ring.addresses[node - 1], env.ring.port, 4)


def kept(env, node):
    """The texts of the statements that a node keeps."""
    session = env.only(node, consistency_level=ConsistencyLevel.ONE)
    return {row[0] for row in session.execute("SELECT query_string FROM system.prepared_statements")}


@behaviour
@needs(3)
def an_id_means_its_statement_after_a_kill_on_every_connection(env):
    name = f"{env.keyspace}.{env.table('k int PRIMARY KEY, v int')}"
    texts = [f"SELECT v FROM {name} WHERE k = {k}" for k in range(40)] + [
        f"INSERT INTO {name} (k, v) VALUES (1, 7)", f"BEGIN BATCH DELETE FROM {name} WHERE k = 2 APPLY BATCH"]
    with by_wire(env, 2) as connection:
        connection.start()
        identifiers = [prepare(connection, text) for text in texts]
    env.ring.kill(2)
    env.ring.start(2)
    # Several, so that every shard of the node has one.
    for _ in range(4):
        with by_wire(env, 2) as connection:
            connection.start()
            for text, identifier in zip(texts, identifiers):
                reply = execute(connection, identifier)
                equal(reply.opcode, wire.RESULT, text)
    true(set(texts) <= kept(env, 2), "not all are in system.prepared_statements")


@behaviour
def what_one_connection_prepares_every_connection_of_the_node_executes(env):
    name = f"{env.keyspace}.{env.table('k int PRIMARY KEY')}"
    connections = [by_wire(env, 1) for _ in range(4)]
    try:
        for connection in connections:
            connection.start()
        identifier = prepare(connections[0], f"SELECT k FROM {name}")
        for connection in connections:
            equal(eventually(lambda: execute(connection, identifier)).opcode, wire.RESULT)
    finally:
        for connection in connections:
            connection.__exit__()


@behaviour
@needs(3)
def what_a_dropped_table_had_prepared_is_forgotten_also_after_a_kill(env):
    name = f"{env.keyspace}.{env.table('k int PRIMARY KEY')}"
    stays = f"{env.keyspace}.{env.table('k int PRIMARY KEY, v int')}"
    untouched = f"{env.keyspace}.{env.table('k int PRIMARY KEY')}"
    with by_wire(env, 3) as connection:
        connection.start()
        gone = prepare(connection, f"SELECT k FROM {name}")
        altered = prepare(connection, f"SELECT v FROM {stays}")
        other = prepare(connection, f"SELECT k FROM {untouched}")
        env.execute(f"DROP TABLE {name}")
        env.execute(f"ALTER TABLE {stays} DROP v")
        equal(eventually(lambda: true_of(execute(connection, gone), wire.ERROR)).error[0], 0x2500)
    eventually(lambda: true(f"SELECT k FROM {name}" not in kept(env, 3), "the row stays"))
    env.ring.kill(3)
    env.ring.start(3)
    with by_wire(env, 3) as connection:
        connection.start()
        equal(execute(connection, gone).error[0], 0x2500)
        equal(execute(connection, altered).error[0], 0x2500, "a statement that is refused now")
        equal(execute(connection, other).opcode, wire.RESULT)
    eventually(lambda: true(f"SELECT v FROM {stays}" not in kept(env, 3), "the row stays"))


def true_of(reply, opcode):
    equal(reply.opcode, opcode)
    return reply


@behaviour
def statements_with_passwords_and_of_the_schema_are_not_kept(env):
    with by_wire(env, 1) as connection:
        connection.start()
        prepare(connection, f"CREATE TABLE {env.keyspace}.never (k int PRIMARY KEY)")
        prepare(connection, "USE system")
    true(not {text for text in kept(env, 1) if "never" in text or text.startswith("USE")}, "kept")


@behaviour
def the_tables_of_what_is_kept_cannot_be_written_by_clients(env):
    env.refused(Unauthorized, "system keyspace is not user-modifiable",
                lambda: env.execute("INSERT INTO system.prepared_statements (prepared_id) VALUES (0x00)"))
    env.refused(Unauthorized, "system keyspace is not user-modifiable",
                lambda: env.execute("DELETE FROM system.compaction_history WHERE id = uuid()"))


def select_star_after_alter(env, version):
    name = env.table("k int PRIMARY KEY, v int")
    session = env.cluster(protocol_version=version).connect(env.keyspace)
    session.execute(f"INSERT INTO {name} (k, v) VALUES (1, 1)")
    statement = session.prepare(f"SELECT * FROM {name} WHERE k = ?")
    equal(list(session.execute(statement, (1,))), [(1, 1)])
    session.execute(f"ALTER TABLE {name} ADD w int")
    session.execute(f"UPDATE {name} SET w = 2 WHERE k = 1")
    for _ in range(6):
        yield list(session.execute(statement, (1,)))


@behaviour
def after_ALTER_version_5_shows_the_new_column_of_a_prepared_star(env):
    for rows in select_star_after_alter(env, 5):
        equal(rows, [(1, 1, 2)])


@behaviour
def after_ALTER_version_4_still_reads_a_prepared_star(env):
    for rows in select_star_after_alter(env, 4):
        true(rows in ([(1, 1)], [(1, 1, 2)]), f"rows {rows}")


@behaviour
def after_ALTER_a_prepared_insert_still_writes(env):
    name = env.table("k int PRIMARY KEY, v int")
    statement = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (?, ?)")
    env.execute(statement, (1, 1))
    env.execute(f"ALTER TABLE {name} ADD w int")
    for k in range(2, 8):
        env.execute(statement, (k, k))
    equal(sorted(env.rows(f"SELECT k, v, w FROM {name}")), [(k, k, None) for k in range(1, 8)])


@behaviour
def a_prepared_statement_of_a_dropped_column_is_refused(env):
    name = env.table("k int PRIMARY KEY, v int")
    statement = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (?, ?)")
    env.execute(f"ALTER TABLE {name} DROP v")
    for _ in range(6):
        env.refused(InvalidRequest, "v", lambda: env.execute(statement, (1, 1)))


@behaviour
def a_prepared_statement_of_a_dropped_table_is_refused(env):
    name = env.table("k int PRIMARY KEY, v int")
    statement = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (?, ?)")
    env.execute(f"DROP TABLE {name}")
    for _ in range(6):
        env.refused(InvalidRequest, name, lambda: env.execute(statement, (1, 1)))


@behaviour
def a_table_made_again_takes_a_statement_prepared_before(env):
    name = env.table("k int PRIMARY KEY, v int")
    statement = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (?, ?)")
    env.execute(statement, (1, 1))
    env.execute(f"DROP TABLE {name}")
    env.execute(f"CREATE TABLE {name} (k int PRIMARY KEY, v int)")
    for k in range(2, 8):
        env.execute(statement, (k, k))
    equal(sorted(env.rows(f"SELECT k, v FROM {name}")), [(k, k) for k in range(2, 8)])


@behaviour
def an_id_is_that_of_the_text_where_it_names_its_keyspaces(env):
    """Otherwise USE is part of it. Drivers refuse to go on when a statement that they prepare again gets another id,
    which it must not because of a USE that came between."""
    table = env.table("k int PRIMARY KEY, v int")
    full = f"{env.keyspace}.{table}"
    texts = [f"SELECT v FROM {{}} WHERE k = ? AND v > {'0' * length} ALLOW FILTERING" for length in (1, 40_000)] + [
        "INSERT INTO {} (k, v) VALUES (?, 1)", "UPDATE {} SET v = 1 WHERE k = ?", "DELETE FROM {} WHERE k = ? IF EXISTS",
        "BEGIN BATCH INSERT INTO {0} (k) VALUES (?); DELETE v FROM {0} WHERE k = 1; APPLY BATCH"]
    for version in (4, 5):
        cluster = env.cluster(protocol_version=version, schema_metadata_enabled=False, token_metadata_enabled=False)
        without, within = cluster.connect(), cluster.connect(env.keyspace)
        elsewhere = cluster.connect("system")
        for text in texts:
            named, short = text.format(full), text.format(table)
            for session in (within, without, elsewhere):
                equal(session.prepare(named).query_id, hashlib.md5(named.encode()).digest(), text[:40])
            equal(within.prepare(short).query_id, hashlib.md5((env.keyspace + short).encode()).digest(), text[:40])
        mixed = f"BEGIN BATCH INSERT INTO {full} (k) VALUES (?); INSERT INTO {table} (k) VALUES (?); APPLY BATCH"
        equal(within.prepare(mixed).query_id, hashlib.md5((env.keyspace + mixed).encode()).digest())
        # What was prepared without a keyspace is executed after USE, and prepared again there.
        insert = without.prepare(texts[2].format(full))
        without.execute(insert, (7,))
        without.execute(f"USE {env.keyspace}")
        without.execute(insert, (8,))
        equal(sorted(env.rows(f"SELECT k FROM {table} WHERE k IN (7, 8)")), [(7,), (8,)])
        env.execute(f"TRUNCATE {table}")


@behaviour
def many_statements_are_prepared_and_executed(env):
    name = env.table("k int PRIMARY KEY, v int")
    statements = [
        env.session.prepare(f"INSERT INTO {name} (k, v) VALUES ({k}, ?)") for k in range(200)]
    for k, statement in enumerate(statements):
        env.execute(statement, (k,))
    equal(env.rows(f"SELECT count(*) FROM {name}"), [(200,)])


def prepared_warnings(session, text):
    future = ResponseFuture(session, PrepareMessage(query=text), query=None, timeout=10)
    future.send_request()
    future.result()
    return future.warnings or []


@behaviour
def a_connection_is_warned_once_of_statements_that_depend_on_its_use(env):
    table = env.table("k int PRIMARY KEY, v int")
    full = f"{env.keyspace}.{table}"
    session = env.only(1)
    for text in (f"SELECT v FROM {full} WHERE k = ?", f"INSERT INTO {full} (k, v) VALUES (?, ?)",
                 f"BEGIN BATCH UPDATE {full} SET v = 1 WHERE k = 1; APPLY BATCH"):
        equal(prepared_warnings(session, text), [], text)
    mixed = f"BEGIN BATCH UPDATE {full} SET v = 1 WHERE k = 1; DELETE FROM {table} WHERE k = 2; APPLY BATCH"
    found = [prepared_warnings(session, mixed), prepared_warnings(session, f"SELECT k FROM {table}")]
    equal([len(each) for each in found], [1, 0])
    true(found[0][0].startswith("`USE <keyspace>` with prepared statements is considered to be an anti-pattern"), found)
