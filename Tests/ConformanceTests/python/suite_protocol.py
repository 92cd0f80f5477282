"""The native protocol, row by row: flags, values, kinds of results, metadata, prepared statements, batches, segments,
errors with their bodies. Everything is sent by hand, so that what a driver hides is seen too."""

import hashlib
import struct

import lz4.block

import wire
from frames import (
    ALL, INT, KEYSPACE, LOCAL_SERIAL, NAMES, NOW, PAGE_SIZE, PAGING_STATE, QUORUM, SERIAL, SERIAL_LEVEL, SKIP_METADATA,
    TEXT, TIMESTAMP, VALUES, Prepared, Reader, Rows, ask, batch, body, each_version, error, from_version_4,
    in_version_5, number, prepared_part, started, table, text_part)
from harness import behaviour, equal, true
from wire import Closed, Wire


# Queries and their flags

@each_version
def a_query_without_values_answers_rows(env, connection):
    rows = Rows(ask(connection, f"SELECT k, v FROM {table(env)} WHERE k = 1"))
    equal((rows.columns, rows.numbers), ([("k", INT), ("v", INT)], [(1, 10)]))
    equal(rows.flags & 1, 1, "one table for all columns")
    equal(".".join(rows.table), table(env))


@each_version
def values_by_place(env, connection):
    rows = Rows(ask(connection, f"SELECT v FROM {table(env)} WHERE k = ?", VALUES, struct.pack(">H", 1) + number(2)))
    equal(rows.numbers, [(20,)])


@each_version
def values_by_name(env, connection):
    rest = struct.pack(">H", 2) + wire.string("key") + number(3) + wire.string("n") + number(1)
    rows = Rows(ask(connection, f"SELECT v FROM {table(env)} WHERE k = :key LIMIT :n", VALUES | NAMES, rest))
    equal(rows.numbers, [(30,)])


@each_version
def a_missing_name_is_refused(env, connection):
    rest = struct.pack(">H", 1) + wire.string("other") + number(3)
    error(ask(connection, f"SELECT v FROM {table(env)} WHERE k = :key", VALUES | NAMES, rest), 0x2200, "key")


@each_version
def fewer_values_than_markers_are_refused(env, connection):
    error(ask(connection, f"SELECT v FROM {table(env)} WHERE k = ? LIMIT ?", VALUES, struct.pack(">H", 1) + number(1)),
          0x2200, "bind variables")


@each_version
def more_values_than_markers_are_refused(env, connection):
    error(ask(connection, f"SELECT v FROM {table(env)} WHERE k = ?", VALUES, struct.pack(">H", 2) + number(1) * 2),
          0x2200, "bind variables")


@each_version
def a_value_of_another_length_is_refused(env, connection):
    error(ask(connection, f"SELECT v FROM {table(env)} WHERE k = ?", VALUES, struct.pack(">Hi", 1, 3) + b"abc"),
          0x2200, "Expected 4 or 0 byte int (3)")


@each_version
def a_null_key_is_refused(env, connection):
    error(ask(connection, f"SELECT v FROM {table(env)} WHERE k = ?", VALUES, struct.pack(">Hi", 1, -1)), 0x2200, "null")


@from_version_4
def an_unset_key_is_refused(env, connection):
    error(ask(connection, f"SELECT v FROM {table(env)} WHERE k = ?", VALUES, struct.pack(">Hi", 1, -2)), 0x2200, "unset")


@from_version_4
def an_unset_value_writes_nothing(env, connection):
    ask(connection, f"INSERT INTO {table(env)} (k, v) VALUES (100, 1)")
    answer = ask(connection, f"UPDATE {table(env)} SET v = ?, w = 'x' WHERE k = 100", VALUES, struct.pack(">Hi", 1, -2))
    equal(answer.kind, 1)
    equal(Rows(ask(connection, f"SELECT v FROM {table(env)} WHERE k = 100")).numbers, [(1,)])


@from_version_4
def a_value_of_a_length_below_minus_two_is_a_protocol_error(env, connection):
    error(ask(connection, f"SELECT v FROM {table(env)} WHERE k = ?", VALUES, struct.pack(">Hi", 1, -3)), 0x000A)


@each_version
def a_null_value_deletes(env, connection):
    ask(connection, f"INSERT INTO {table(env)} (k, v) VALUES (101, 1)")
    ask(connection, f"INSERT INTO {table(env)} (k, v) VALUES (101, ?)", VALUES, struct.pack(">Hi", 1, -1))
    equal(Rows(ask(connection, f"SELECT v FROM {table(env)} WHERE k = 101")).numbers, [(None,)])


@each_version
def metadata_is_skipped_on_demand(env, connection):
    rows = Rows(ask(connection, f"SELECT k, v FROM {table(env)} WHERE k = 1", SKIP_METADATA))
    equal((rows.flags & 4, rows.columns, rows.numbers), (4, [], [(1, 10)]))


@each_version
def a_page_size_divides_the_result(env, connection):
    text = f"SELECT k FROM {table(env)} WHERE k IN (1, 2, 3, 4, 5)"
    found, rest, pages = [], struct.pack(">i", 2), 0
    flags = PAGE_SIZE
    while True:
        rows = Rows(ask(connection, text, flags, rest))
        found += rows.numbers
        pages += 1
        if rows.paging_state is None:
            equal(rows.flags & 2, 0, "no more pages")
            break
        flags, rest = PAGE_SIZE | PAGING_STATE, struct.pack(">i", 2) + struct.pack(
            ">i", len(rows.paging_state)) + rows.paging_state
    equal((found, pages), ([(1,), (2,), (3,), (4,), (5,)], 3))


@each_version
def a_broken_paging_state_is_refused(env, connection):
    rest = struct.pack(">i", 2) + struct.pack(">i", 5) + b"hello"
    code = ask(connection, f"SELECT k FROM {table(env)}", PAGE_SIZE | PAGING_STATE, rest).error[0]
    true(code in (0x000A, 0x2200), f"code {code:#x}")


@each_version
def a_page_size_that_is_not_positive_means_no_pages(env, connection):
    rows = Rows(ask(connection, f"SELECT k FROM {table(env)} WHERE k IN (1, 2)", PAGE_SIZE, struct.pack(">i", -1)))
    equal((rows.numbers, rows.paging_state), ([(1,), (2,)], None))


@each_version
def a_timestamp_of_the_client_is_the_write_time(env, connection):
    ask(connection, f"INSERT INTO {table(env)} (k, v) VALUES (102, 1)", TIMESTAMP, struct.pack(">q", 123456))
    equal(Rows(ask(connection, f"SELECT writetime(v) FROM {table(env)} WHERE k = 102")).numbers, [(123456,)])


@each_version
def a_serial_level_that_is_not_serial_is_refused(env, connection):
    error(ask(connection, f"INSERT INTO {table(env)} (k, v) VALUES (103, 1) IF NOT EXISTS", SERIAL_LEVEL, struct.pack(">H", QUORUM)),
          0x2200, "serial")


@each_version
def both_serial_levels_are_taken(env, connection):
    for level in (SERIAL, LOCAL_SERIAL):
        rows = Rows(ask(connection, f"UPDATE {table(env)} SET v = 10 WHERE k = 1 IF v = 10", SERIAL_LEVEL, struct.pack(">H", level)))
        equal(rows.rows, [(b"\1",)])


@each_version
def an_unknown_consistency_is_a_protocol_error(env, connection):
    error(ask(connection, f"SELECT k FROM {table(env)}", level=0x77), 0x000A)


@each_version
def a_level_for_writes_only_is_refused_for_a_read(env, connection):
    error(ask(connection, f"SELECT k FROM {table(env)}", level=0), 0x2200, "ANY ConsistencyLevel is only supported for writes")


@each_version
def a_serial_level_is_refused_for_a_plain_write(env, connection):
    error(ask(connection, f"INSERT INTO {table(env)} (k) VALUES (1)", level=SERIAL), 0x2200,
          "You must use conditional updates for serializable writes")


@in_version_5
def a_keyspace_of_the_request_is_used(env, connection):
    name = table(env).split(".")[1]
    rows = Rows(ask(connection, f"SELECT v FROM {name} WHERE k = 1", KEYSPACE, wire.string(env.keyspace)))
    equal(rows.numbers, [(10,)])
    error(ask(connection, f"SELECT v FROM {name} WHERE k = 1"), 0x2200, "No keyspace has been specified")


@in_version_5
def an_unknown_keyspace_of_the_request_is_refused(env, connection):
    error(ask(connection, "SELECT v FROM t WHERE k = 1", KEYSPACE, wire.string("nowhere")), 0x2200, "nowhere")


@in_version_5
def the_now_of_the_request_decides_what_has_expired(env, connection):
    name = table(env)
    ask(connection, f"INSERT INTO {name} (k, v) VALUES (104, 1) USING TTL 100", NOW, struct.pack(">i", 1_000_000_000))
    text = f"SELECT v FROM {name} WHERE k = 104"
    equal(Rows(ask(connection, text, NOW, struct.pack(">i", 1_000_000_050))).numbers, [(1,)])
    equal(Rows(ask(connection, text, NOW, struct.pack(">i", 1_000_000_150))).numbers, [])


@each_version
def a_body_that_ends_early_is_a_protocol_error(env, connection):
    whole = body(connection, f"SELECT v FROM {table(env)} WHERE k = ?", VALUES, struct.pack(">H", 1) + number(2))
    for length in (0, 3, 10, len(whole) - 9, len(whole) - 5, len(whole) - 1):
        error(connection.ask(wire.QUERY, whole[:length]), 0x000A)
    equal(Rows(connection.ask(wire.QUERY, whole)).numbers, [(20,)])


@each_version
def prepare_and_execute_that_end_early_are_protocol_errors(env, connection):
    error(connection.ask(wire.PREPARE, struct.pack(">i", 50) + b"SELECT"), 0x000A)
    prepared = Prepared(connection, f"SELECT v FROM {table(env)} WHERE k = ?")
    whole = prepared.body(connection, VALUES, struct.pack(">H", 1) + number(4))
    for length in (0, 5, 18, len(whole) - 5, len(whole) - 1):
        error(connection.ask(wire.EXECUTE, whole[:length]), 0x000A)
    equal(Rows(connection.ask(wire.EXECUTE, whole)).numbers, [(40,)])


@each_version
def a_statement_that_is_longer_than_its_body_is_a_protocol_error(env, connection):
    error(connection.ask(wire.QUERY, struct.pack(">i", 0x7FFFFFFF) + b"SELECT"), 0x000A)
    error(connection.ask(wire.QUERY, struct.pack(">i", -5) + b"SELECT"), 0x000A)


@each_version
def register_that_ends_early_is_a_protocol_error(env, connection):
    error(connection.ask(wire.REGISTER, struct.pack(">HH", 1, 50) + b"x"), 0x000A)


# Kinds of results

@each_version
def results_have_their_kinds(env, connection):
    name = table(env)
    equal(ask(connection, f"INSERT INTO {name} (k) VALUES (105)").kind, 1, "void")
    equal(ask(connection, f"SELECT k FROM {name} WHERE k = 1").kind, 2, "rows")
    frame = ask(connection, f"USE {env.keyspace}")
    equal((frame.kind, wire.read_string(frame.content, 4)[0]), (3, env.keyspace))
    frame = ask(connection, f"CREATE TABLE {env.keyspace}.kind{connection.version} (k int PRIMARY KEY)")
    reader = Reader(frame.content)
    equal((reader.take("i"), reader.string(), reader.string(), reader.string(), reader.string()),
          (5, "CREATED", "TABLE", env.keyspace, f"kind{connection.version}"))
    frame = ask(connection, f"CREATE TABLE IF NOT EXISTS {env.keyspace}.kind{connection.version} (k int PRIMARY KEY)")
    equal(frame.kind, 1, "nothing changed: void")


@each_version
def columns_of_two_names_have_one_table(env, connection):
    rows = Rows(ask(connection, f"SELECT count(*) AS n, max(v) FROM {table(env)} WHERE k = 1"))
    equal([name for name, _ in rows.columns], ["n", "system.max(v)"])


@from_version_4
def types_have_their_options(env, connection):
    name = env.keyspace + "." + env.table(
        "k int PRIMARY KEY, l list<text>, m map<int, bigint>, t tuple<int, text>, v vector<float, 2>")
    frame = ask(connection, f"SELECT l, m, t, v FROM {name}")
    reader = Reader(frame.body)
    equal(reader.take("iii"), (2, 1, 4))
    reader.string(), reader.string()
    equal((reader.string(), reader.take("HH")), ("l", (0x20, TEXT)))
    equal((reader.string(), reader.take("HHH")), ("m", (0x21, INT, 2)))
    equal((reader.string(), reader.take("HHHH")), ("t", (0x31, 2, INT, TEXT)))
    equal((reader.string(), reader.take("H"), reader.string()),
          ("v", 0, "org.apache.cassandra.db.marshal.VectorType(org.apache.cassandra.db.marshal.FloatType , 2)"))


# Prepared statements

@each_version
def a_prepared_select_knows_its_markers_and_columns(env, connection):
    prepared = Prepared(connection, f"SELECT v, w FROM {table(env)} WHERE k = ?")
    equal((prepared.markers, prepared.columns), ([("k", INT)], [("v", INT), ("w", TEXT)]))
    equal(prepared.keys, None if connection.version < 4 else [0])


@each_version
def a_prepared_write_has_no_columns(env, connection):
    prepared = Prepared(connection, f"INSERT INTO {table(env)} (v, k) VALUES (?, ?)")
    equal((prepared.markers, prepared.columns, prepared.result_flags & 4), ([("v", INT), ("k", INT)], [], 4))
    equal(prepared.keys, None if connection.version < 4 else [1])


@each_version
def the_id_depends_on_text_and_keyspace(env, connection):
    text = f"SELECT v FROM {table(env)} WHERE k = ?"
    first = Prepared(connection, text).id
    equal(Prepared(connection, text).id, first, "the same text")
    true(Prepared(connection, text + " ").id != first, "another text")
    ask(connection, f"USE {env.keyspace}")
    second = Prepared(connection, text.replace(env.keyspace + ".", "")).id
    true(second != first, "a text without its keyspace")


@each_version
def an_id_is_the_digest_of_the_text_and_of_the_keyspace_that_it_leaves_out(env, connection):
    text = f"SELECT v FROM {table(env)} WHERE k = ?"
    short = text.replace(table(env), table(env).split(".")[1])
    equal(Prepared(connection, text).id, hashlib.md5(text.encode()).digest())
    ask(connection, f"USE {env.keyspace}")
    equal(Prepared(connection, text).id, hashlib.md5(text.encode()).digest())
    equal(Prepared(connection, short).id, hashlib.md5((env.keyspace + short).encode()).digest())


@in_version_5
def prepare_takes_a_keyspace(env, connection):
    prepared = Prepared(connection, f"SELECT v FROM {table(env).split('.')[1]} WHERE k = ?", env.keyspace)
    equal(prepared.warnings, [])
    rows = Rows(prepared.execute(connection, VALUES, struct.pack(">H", 1) + number(3)))
    equal(rows.numbers, [(30,)])


@each_version
def an_unknown_id_is_answered_unprepared_with_it(env, connection):
    prepared = Prepared(connection, f"SELECT v FROM {table(env)} WHERE k = ?")
    prepared.id = b"0123456789abcdef"
    rest = error(prepared.execute(connection, VALUES, struct.pack(">H", 1) + number(3)), 0x2500)
    equal(rest, struct.pack(">H", 16) + prepared.id)


@each_version
def an_error_in_prepare_has_its_code(env, connection):
    flags = struct.pack(">i", 0) if connection.version >= 5 else b""
    error(connection.ask(wire.PREPARE, wire.long_string("SELEC 1") + flags), 0x2000, "line 1:0")
    error(connection.ask(wire.PREPARE, wire.long_string("SELECT * FROM nowhere.t") + flags), 0x2200, "nowhere")


@in_version_5
def known_metadata_is_not_sent_again(env, connection):
    prepared = Prepared(connection, f"SELECT v FROM {table(env)} WHERE k = 1")
    rows = Rows(prepared.execute(connection, SKIP_METADATA))
    equal((rows.columns, rows.metadata_id, rows.flags & 8), ([], None, 0))


@in_version_5
def another_metadata_id_is_answered_with_the_new_metadata(env, connection):
    prepared = Prepared(connection, f"SELECT v FROM {table(env)} WHERE k = 1")
    rows = Rows(prepared.execute(connection, SKIP_METADATA, metadata_id=b"x" * 16))
    equal((rows.flags & 8, rows.flags & 4), (8, 0))
    equal((rows.metadata_id, rows.columns), (prepared.metadata_id, [("v", INT)]))


@in_version_5
def after_ALTER_the_result_tells_its_new_columns_once(env, connection):
    name = env.keyspace + "." + env.table("k int PRIMARY KEY, a int")
    env.execute(f"INSERT INTO {name} (k, a) VALUES (1, 2)")
    text = f"SELECT * FROM {name}"
    prepared = Prepared(connection, text)
    equal(Rows(prepared.execute(connection, SKIP_METADATA)).columns, [])
    env.execute(f"ALTER TABLE {name} ADD b int")
    error(prepared.execute(connection, SKIP_METADATA), wire.UNPREPARED)
    # As if another client had prepared it again, of whom this one does not hear.
    true(Prepared(connection, text).metadata_id != prepared.metadata_id, "a new id in PREPARED")
    rows = Rows(prepared.execute(connection, SKIP_METADATA))
    equal((rows.flags & 8, rows.columns), (8, [("k", INT), ("a", INT), ("b", INT)]))
    true(rows.metadata_id != prepared.metadata_id, "a new id")
    again = Rows(prepared.execute(connection, SKIP_METADATA, metadata_id=rows.metadata_id))
    equal((again.flags & 8, again.columns, again.numbers), (0, [], [(1, 2, None)]))


@each_version
def after_ALTER_a_statement_with_other_columns_is_unprepared_until_it_is_prepared_again(env, connection):
    name = env.keyspace + "." + env.table("k int PRIMARY KEY, b int")
    env.execute(f"INSERT INTO {name} (k, b) VALUES (1, 2)")
    text = f"SELECT * FROM {name}"
    with started(env, connection.version) as late:
        for client in (connection, late):
            Prepared(client, text)
        prepared = Prepared(connection, text)
        equal(Rows(prepared.execute(connection, SKIP_METADATA)).columns, [])
        env.execute(f"ALTER TABLE {name} ADD a int")
        for client in (connection, late):
            error(prepared.execute(client, SKIP_METADATA), wire.UNPREPARED)
        equal(Prepared(connection, text).columns, [("k", INT), ("a", INT), ("b", INT)])
        # A client before v5 reads by the two columns that it knows, and the server cannot know that it does.
        for client in (connection, late):
            frame = prepared.execute(client, SKIP_METADATA)
            if frame.opcode == wire.ERROR:
                # Its connection is served by another shard.
                equal(frame.error[0], wire.UNPREPARED)
                continue
            rows = Rows(frame)
            equal((rows.columns, rows.numbers), ([("k", INT), ("a", INT), ("b", INT)], [(1, None, 2)]))


@each_version
def after_ALTER_a_statement_with_the_same_columns_goes_on(env, connection):
    name = env.keyspace + "." + env.table("k int PRIMARY KEY, b int")
    env.execute(f"INSERT INTO {name} (k, b) VALUES (1, 2)")
    prepared = Prepared(connection, f"SELECT b FROM {name}")
    env.execute(f"ALTER TABLE {name} ADD a int")
    equal(Rows(prepared.execute(connection, SKIP_METADATA)).numbers, [(2,)])


@each_version
def a_statement_of_a_dropped_table_is_unprepared_and_then_refused(env, connection):
    name = env.keyspace + "." + env.table("k int PRIMARY KEY, b int")
    text = f"SELECT b FROM {name}"
    prepared = Prepared(connection, text)
    env.execute(f"DROP TABLE {name}")
    error(prepared.execute(connection), wire.UNPREPARED)
    flags = struct.pack(">i", 0) if connection.version >= 5 else b""
    error(connection.ask(wire.PREPARE, wire.long_string(text) + flags), 0x2200, "does not exist")


# Batches

@each_version
def a_batch_mixes_texts_and_prepared_statements(env, connection):
    name = table(env)
    prepared = Prepared(connection, f"INSERT INTO {name} (k, v) VALUES (?, ?)")
    for kind in (0, 1):
        answer = batch(connection, kind, [
            text_part(f"INSERT INTO {name} (k, v) VALUES (110, {kind})"),
            text_part(f"INSERT INTO {name} (k, v) VALUES (?, 7)", number(111), 1),
            prepared_part(prepared, number(112) + number(kind), 2)])
        equal(answer.kind, 1, f"kind {kind}")
        equal(Rows(ask(connection, f"SELECT v FROM {name} WHERE k IN (110, 111, 112)")).numbers, [(kind,), (7,), (kind,)])


@each_version
def a_batch_has_one_timestamp(env, connection):
    name = table(env)
    batch(connection, 1, [text_part(f"INSERT INTO {name} (k, v) VALUES (113, 1)")], TIMESTAMP, struct.pack(">q", 777))
    equal(Rows(ask(connection, f"SELECT writetime(v) FROM {name} WHERE k = 113")).numbers, [(777,)])


@each_version
def a_conditional_batch_takes_a_serial_level(env, connection):
    name = table(env)
    for level in (SERIAL, LOCAL_SERIAL):
        answer = batch(connection, 1, [text_part(f"UPDATE {name} SET v = 10 WHERE k = 1 IF v = 10")], SERIAL_LEVEL,
                       struct.pack(">H", level))
        equal(Rows(answer).rows, [(b"\1",)])
    error(batch(connection, 1, [text_part(f"UPDATE {name} SET v = 10 WHERE k = 1 IF v = 10")], SERIAL_LEVEL,
                struct.pack(">H", QUORUM)), 0x2200, "serial")


@in_version_5
def a_batch_takes_a_keyspace_and_a_now(env, connection):
    name = table(env).split(".")[1]
    insert = f"INSERT INTO {name} (k, v) VALUES (120, 1) USING TTL 100"
    rest = wire.string(env.keyspace) + struct.pack(">i", 1_000_000_000)
    equal(batch(connection, 1, [text_part(insert)], KEYSPACE | NOW, rest).kind, 1)
    text = f"SELECT v FROM {table(env)} WHERE k = 120"
    equal(Rows(ask(connection, text, NOW, struct.pack(">i", 1_000_000_099))).numbers, [(1,)])
    equal(Rows(ask(connection, text, NOW, struct.pack(">i", 1_000_000_101))).numbers, [])
    error(batch(connection, 1, [text_part(insert)]), 0x2200, "No keyspace has been specified")


@each_version
def an_execution_takes_names_pages_and_a_timestamp(env, connection):
    name = table(env)
    insert = Prepared(connection, f"INSERT INTO {name} (k, v) VALUES (:key, :value)")
    named = struct.pack(">H", 2) + wire.string("value") + number(7) + wire.string("key") + number(121)
    equal(insert.execute(connection, VALUES | NAMES | TIMESTAMP, named + struct.pack(">q", 4321)).kind, 1)
    equal(Rows(ask(connection, f"SELECT v, writetime(v) FROM {name} WHERE k = 121")).numbers, [(7, 4321)])
    select = Prepared(connection, f"SELECT k FROM {name} WHERE k IN (1, 2, 3)")
    first = Rows(select.execute(connection, PAGE_SIZE, struct.pack(">i", 2)))
    state = struct.pack(">i", len(first.paging_state)) + first.paging_state
    second = Rows(select.execute(connection, PAGE_SIZE | PAGING_STATE, struct.pack(">i", 2) + state))
    equal((first.numbers, second.numbers, second.paging_state), ([(1,), (2,)], [(3,)], None))


@each_version
def an_empty_batch_does_nothing(env, connection):
    equal(batch(connection, 0, []).kind, 1)


@each_version
def an_unknown_kind_of_batch_is_a_protocol_error(env, connection):
    error(batch(connection, 9, [text_part(f"INSERT INTO {table(env)} (k) VALUES (1)")]), 0x000A)


@each_version
def an_unknown_kind_of_part_is_a_protocol_error(env, connection):
    error(batch(connection, 0, [b"\7" + wire.long_string("x") + b"\0\0"]), 0x000A)


@each_version
def a_read_in_a_batch_is_refused(env, connection):
    error(batch(connection, 0, [text_part(f"SELECT * FROM {table(env)}")]), 0x2200,
          "Invalid statement in batch: only UPDATE, INSERT and DELETE statements are allowed.")


@each_version
def a_syntax_error_in_a_batch_has_its_code(env, connection):
    error(batch(connection, 0, [text_part("INSRT")]), 0x2000, "line 1:0")


@each_version
def an_unknown_id_in_a_batch_is_answered_unprepared(env, connection):
    rest = error(batch(connection, 0, [b"\1" + struct.pack(">H", 4) + b"abcd" + b"\0\0"]), 0x2500)
    equal(rest, struct.pack(">H", 4) + b"abcd")


@each_version
def a_batch_that_ends_early_is_a_protocol_error(env, connection):
    error(connection.ask(wire.BATCH, struct.pack(">BH", 0, 3) + text_part("x")), 0x000A)
    error(connection.ask(wire.BATCH, b""), 0x000A)


@each_version
def counters_have_a_kind_of_batch_of_their_own(env, connection):
    name = env.shared("counters", lambda: env.keyspace + "." + env.table("k int PRIMARY KEY, n counter"))
    equal(batch(connection, 2, [text_part(f"UPDATE {name} SET n = n + 1 WHERE k = {connection.version}")]).kind, 1)
    error(batch(connection, 0, [text_part(f"UPDATE {name} SET n = n + 1 WHERE k = 1")]), 0x2200,
          "Cannot include a counter statement in a logged batch")


# What goes before a body

@from_version_4
def a_warning_goes_before_the_body(env, connection):
    name = table(env)
    text = f"SELECT count(*) FROM {name}"
    frame = ask(connection, text)
    equal(frame.flags & 8, 8, "the warning flag")
    reader = Reader(frame.body)
    true(any("Aggregation query used without partition key" in reader.string() for _ in range(reader.take("H"))), "the text")
    equal(reader.take("i"), 2, "the result follows")


@behaviour
def version_3_knows_no_warnings(env):
    with started(env, 3) as connection:
        frame = ask(connection, f"SELECT count(*) FROM {table(env)}")
        equal((frame.flags & 8, Reader(frame.body).take("i")), (0, 2))


@from_version_4
def a_trace_goes_before_the_warnings(env, connection):
    frame = ask(connection, f"SELECT count(*) FROM {table(env)}", flags=0, stream=1)
    connection.send(wire.QUERY, body(connection, f"SELECT count(*) FROM {table(env)}"), flags=0x02)
    frame = connection.receive()
    equal(frame.flags & 0x0A, 0x0A, "tracing and warning flags")
    reader = Reader(frame.body)
    equal(reader.raw(16)[6] >> 4, 1, "version of the trace's uuid")
    true("Aggregation" in [reader.string() for _ in range(reader.take("H"))][0], "then the warnings")
    equal(reader.take("i"), 2, "then the result")


@from_version_4
def a_custom_payload_is_accepted_with_every_request(env, connection):
    payload = struct.pack(">H", 1) + wire.string("key") + wire.long_string(b"value")
    query = body(connection, f"SELECT v FROM {table(env)} WHERE k = 1")
    connection.send(wire.QUERY, payload + query, flags=0x04)
    equal(Rows(connection.receive()).numbers, [(10,)])
    flags = struct.pack(">i", 0) if connection.version >= 5 else b""
    connection.send(wire.PREPARE, payload + wire.long_string(f"SELECT v FROM {table(env)}") + flags, flags=0x04)
    equal(connection.receive().kind, 4)


@from_version_4
def a_custom_payload_that_ends_early_is_a_protocol_error(env, connection):
    connection.send(wire.QUERY, struct.pack(">HH", 5, 100), flags=0x04)
    error(connection.receive(), 0x000A)


@each_version
def an_error_can_be_traced(env, connection):
    connection.send(wire.QUERY, body(connection, "SELECT nothing"), flags=0x02)
    equal(connection.receive().opcode, wire.ERROR)


# Errors with bodies

@each_version
def already_exists_names_keyspace_and_table(env, connection):
    name = table(env).split(".")[1]
    reader = Reader(error(ask(connection, f"CREATE TABLE {table(env)} (k int PRIMARY KEY)"), 0x2400, name))
    equal((reader.string(), reader.string()), (env.keyspace, name))
    reader = Reader(error(ask(
        connection, f"CREATE KEYSPACE {env.keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"),
        0x2400, env.keyspace))
    equal((reader.string(), reader.string()), (env.keyspace, ""))


def lonely(env):
    """A table whose keyspace wants more replicas than there are nodes."""
    def make():
        env.execute("DROP KEYSPACE IF EXISTS conformance_lonely")
        env.execute("CREATE KEYSPACE conformance_lonely WITH replication = "
                    f"{{'class': 'SimpleStrategy', 'replication_factor': {2 * len(env.ring.addresses)}}}")
        env.execute("CREATE TABLE conformance_lonely.t (k int PRIMARY KEY, v int)")
        return "conformance_lonely.t"
    return env.shared("lonely", make)


@each_version
def unavailable_tells_level_required_and_alive(env, connection):
    nodes = len(env.ring.addresses)
    for text in (f"SELECT * FROM {lonely(env)} WHERE k = 1", f"INSERT INTO {lonely(env)} (k) VALUES (1)"):
        rest = error(ask(connection, text, level=ALL), 0x1000, "Cannot achieve consistency level ALL")
        equal(struct.unpack(">Hii", rest), (ALL, 2 * nodes, nodes), text)


@each_version
def a_function_that_fails_names_itself(env, connection):
    rest = error(ask(connection, f"SELECT v / 0 FROM {table(env)} WHERE k = 1"), 0x1400 if connection.version >= 4 else 0x2200)
    if connection.version >= 4:
        reader = Reader(rest)
        equal((reader.string(), reader.string()), ("system", "/"))
        equal([reader.string() for _ in range(reader.take("H"))], ["int", "int"])
        equal(reader.rest, b"")


@each_version
def syntax_invalid_and_configuration_errors_have_no_body(env, connection):
    equal(error(ask(connection, "SELECT"), 0x2000, "line 1:6"), b"")
    equal(error(ask(connection, "SELECT * FROM nowhere.t"), 0x2200, "keyspace nowhere does not exist"), b"")
    equal(error(ask(connection, "CREATE KEYSPACE x WITH replication = {'class': 'Nope'}"), 0x2300, "Nope"), b"")


# Segments of version 5

def send_segments(connection, data, size, **how):
    for offset in range(0, len(data), size):
        connection.raw(wire.segment(data[offset:offset + size], is_self_contained=False, **how))


@behaviour
def a_frame_in_segments_of_one_byte_is_put_together(env):
    with started(env, 5) as connection:
        send_segments(connection, connection.frame(wire.OPTIONS, stream=5), 1)
        equal(connection.receive().stream, 5)


@behaviour
def frames_at_the_edges_of_a_segment_are_read_and_answered(env):
    name = env.keyspace + "." + env.table("k int PRIMARY KEY, v text")
    insert, longest = f"INSERT INTO {name} (k, v) VALUES (?, ?)", 131_071
    with started(env, 5) as connection:
        for k, size in enumerate((longest - 1, longest, longest + 1, 2 * longest, 2 * longest + 1)):
            # So many characters make the whole frame, header and all, that long.
            empty = connection.frame(wire.QUERY, body(connection, insert, VALUES, struct.pack(">H", 2) + number(k) + wire.long_string("")))
            value = wire.long_string("x" * (size - len(empty)))
            frame = connection.frame(wire.QUERY, body(connection, insert, VALUES, struct.pack(">H", 2) + number(k) + value))
            equal(len(frame), size)
            if size <= longest:
                connection.raw(wire.segment(frame))
            else:
                send_segments(connection, frame, longest)
            equal(connection.receive().kind, 1, f"a frame of {size} bytes")
            connection.query(f"SELECT v FROM {name} WHERE k = {k}", stream=k)
            rows = Rows(connection.receive())
            equal(len(rows.rows[0][0]), size - len(empty), f"the value of a frame of {size} bytes")


@behaviour
def small_frames_follow_a_large_one_in_a_segment_of_their_own(env):
    with started(env, 5) as connection:
        text = "SELECT key FROM system.local /* " + "x" * 200_000 + " */"
        send_segments(connection, connection.frame(wire.QUERY, connection.query_body(text), stream=1), 131_071)
        connection.raw(wire.segment(b"".join(connection.frame(wire.OPTIONS, stream=n) for n in range(2, 9))))
        equal(sorted(connection.receive().stream for _ in range(8)), list(range(1, 9)))


@behaviour
def an_empty_segment_does_no_harm(env):
    with started(env, 5) as connection:
        connection.raw(wire.segment(b""))
        connection.raw(wire.segment(connection.frame(wire.OPTIONS, stream=6)))
        equal(connection.receive().stream, 6)


@behaviour
def segments_that_come_in_one_piece_are_all_read(env):
    with started(env, 5) as connection:
        connection.raw(b"".join(wire.segment(connection.frame(wire.OPTIONS, stream=n)) for n in range(50)))
        equal([connection.receive().stream for _ in range(50)], list(range(50)))


@behaviour
def a_segment_in_pieces_of_one_byte_is_read(env):
    with started(env, 5) as connection:
        for byte in wire.segment(connection.frame(wire.OPTIONS, stream=8)):
            connection.raw(bytes([byte]))
        equal(connection.receive().stream, 8)


@behaviour
def no_segment_of_an_answer_is_longer_than_the_limit(env):
    with started(env, 5) as connection:
        name = env.keyspace + "." + env.table("k int PRIMARY KEY, v text")
        env.execute(f"INSERT INTO {name} (k, v) VALUES (1, %s)", ("x" * 500_000,))
        connection.query(f"SELECT v FROM {name}")
        lengths, payload = [], b""
        while len(payload) < 500_000:
            header = connection.take_raw(6)
            bits = int.from_bytes(header[:3], "little")
            lengths.append(bits & 0x1FFFF)
            equal(bits >> 17 & 1, 0, "not self-contained")
            payload += connection.take_raw(lengths[-1])
            connection.take_raw(4)
        true(max(lengths) <= 131_071 and len(lengths) >= 4, f"lengths {lengths}")


def compressed_segment(payload, stored=False, claim=None):
    """A segment of a connection with lz4: 17 bits of length, 17 of uncompressed length, the self-contained bit."""
    data = payload if stored else lz4.block.compress(payload, store_size=False)
    plain = 0 if stored else len(payload)
    bits = len(data) | (plain if claim is None else claim) << 17 | 1 << 34
    header = bits.to_bytes(5, "little")
    return header + wire.crc24(header).to_bytes(3, "little") + data + wire.crc32(data).to_bytes(4, "little")


def read_compressed(connection):
    header = connection.take_raw(8)
    bits = int.from_bytes(header[:5], "little")
    equal(wire.crc24(header[:5]), int.from_bytes(header[5:], "little"), "CRC24")
    data = connection.take_raw(bits & 0x1FFFF)
    equal(wire.crc32(data), int.from_bytes(connection.take_raw(4), "little"), "CRC32")
    plain = bits >> 17 & 0x1FFFF
    return data if plain == 0 else lz4.block.decompress(data, uncompressed_size=plain)


def stream_of(payload):
    return struct.unpack_from(">h", payload, 2)[0]


def compressed_connection(env):
    connection = started(env, 5, COMPRESSION="lz4")
    connection.segments = False
    return connection


@behaviour
def a_compressed_segment_is_read_and_answered(env):
    with compressed_connection(env) as connection:
        connection.raw(compressed_segment(connection.frame(wire.OPTIONS, stream=11)))
        equal(stream_of(read_compressed(connection)), 11)


@behaviour
def a_stored_segment_of_a_compressed_connection_is_read(env):
    with compressed_connection(env) as connection:
        connection.raw(compressed_segment(connection.frame(wire.OPTIONS, stream=12), stored=True))
        equal(stream_of(read_compressed(connection)), 12)


@behaviour
def a_compressed_segment_that_lies_about_its_length_ends_its_connection_only(env):
    with started(env) as other:
        with compressed_connection(env) as connection:
            connection.raw(compressed_segment(connection.frame(wire.OPTIONS), claim=131_071))
            true(connection.is_closed_by_server(), "the connection is closed")
        equal(other.ask(wire.OPTIONS).opcode, wire.SUPPORTED)


@behaviour
def a_long_answer_comes_in_compressed_segments_that_do_not_pass_the_limit(env):
    with compressed_connection(env) as connection:
        name = env.keyspace + "." + env.table("k int PRIMARY KEY, v blob")
        value = bytes((i * i >> 7) % 251 for i in range(400_000))
        env.execute(f"INSERT INTO {name} (k, v) VALUES (1, %s)", (value,))
        connection.raw(compressed_segment(connection.frame(
            wire.QUERY, connection.query_body(f"SELECT v FROM {name}"), stream=13)))
        payload, sizes = b"", []
        while len(payload) < len(value):
            part = read_compressed(connection)
            sizes.append(len(part))
            payload += part
        true(max(sizes) <= 131_071 and len(sizes) >= 4, f"sizes {sizes}")
        true(value in payload and stream_of(payload) == 13, "the value")


@behaviour
def answers_are_compressed_as_the_client_asked_in_versions_3_and_4(env):
    text = f"SELECT k, (text)'{'a long text ' * 300}' FROM {table(env)}"
    for version in (3, 4):
        with started(env, version) as plain:
            expected = ask(plain, text).body
        for name, unpack in (("lz4", lambda b: lz4.block.decompress(b[4:], uncompressed_size=struct.unpack(">i", b[:4])[0])),
                             ("snappy", unsnappy)):
            with started(env, version, COMPRESSION=name) as connection:
                frame = ask(connection, text)
                equal(frame.flags & 1, 1, f"{name} in version {version}: the flag")
                equal(unpack(frame.body), expected, f"{name} in version {version}")


def unsnappy(data):
    """What snappy's format holds (format description: google/snappy, format_description.txt)."""
    length, shift, at, out = 0, 0, 0, bytearray()
    while True:
        byte = data[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            count = (tag >> 2) + 1
            if count > 60:
                extra = count - 60
                count = int.from_bytes(data[at:at + extra], "little") + 1
                at += extra
            out += data[at:at + count]
            at += count
            continue
        if tag & 3 == 1:
            count, offset, at = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at], at + 1
        else:
            size = 2 if tag & 3 == 2 else 4
            count, offset, at = (tag >> 2) + 1, int.from_bytes(data[at:at + size], "little"), at + size
        for _ in range(count):
            out.append(out[-offset])
    equal(len(out), length, "the length that snappy states")
    return bytes(out)


@behaviour
def snappy_is_refused_in_version_5(env):
    with Wire(env.ring.addresses[0], env.ring.port, 5) as connection:
        error(connection.start(COMPRESSION="snappy"), 0x000A, "snappy")


def snappy(data):
    """Snappy's format with literals only."""
    length, header = len(data), b""
    while length >= 0x80:
        header += bytes([length & 0x7F | 0x80])
        length >>= 7
    header += bytes([length])
    for offset in range(0, len(data), 60):
        part = data[offset:offset + 60]
        header += bytes([(len(part) - 1) << 2]) + part
    return header


@each_version
def a_flag_of_compression_without_any_is_a_protocol_error(env, connection):
    if connection.version >= 5:
        return
    connection.send(wire.QUERY, b"abc", flags=0x01)
    error(connection.receive(), 0x000A)


@behaviour
def bodies_compressed_with_snappy_are_read_in_versions_3_and_4(env):
    for version in (3, 4):
        with started(env, version, COMPRESSION="snappy") as connection:
            connection.send(wire.QUERY, snappy(body(connection, f"SELECT v FROM {table(env)} WHERE k = 1")), flags=0x01)
            equal(connection.receive().opcode, wire.RESULT)


@behaviour
def a_broken_snappy_body_is_a_protocol_error(env):
    with started(env, 4, COMPRESSION="snappy") as connection:
        connection.send(wire.QUERY, b"\xff\xff\xff\xff\x0fgarbage", flags=0x01)
        error(connection.receive(), 0x000A)


# Streams and order

@each_version
def the_largest_stream_is_answered(env, connection):
    connection.query("SELECT key FROM system.local", stream=32767)
    equal(connection.receive().stream, 32767)


@each_version
def all_streams_of_a_connection_are_answered_once_each(env, connection):
    query = connection.query_body("SELECT key FROM system.local")
    counts, sent, step = [0] * 32_768, 0, 512
    while sent < len(counts):
        frames = [connection.frame(wire.QUERY, query, stream=stream) for stream in range(sent, sent + step)]
        connection.raw(wire.segment(b"".join(frames)) if connection.segments else b"".join(frames))
        sent += step
        for _ in range(step):
            counts[connection.receive().stream] += 1
    equal(counts, [1] * len(counts))


@from_version_4
def the_flag_of_beta_versions_changes_nothing_in_others(env, connection):
    connection.send(wire.QUERY, body(connection, f"SELECT v FROM {table(env)} WHERE k = 1"), flags=0x10)
    equal(Rows(connection.receive()).numbers, [(10,)])


@each_version
def an_answer_has_the_version_and_the_direction(env, connection):
    equal(connection.ask(wire.OPTIONS).version, 0x80 | connection.version)


@each_version
def another_version_on_a_begun_connection_is_a_protocol_error(env, connection):
    other = 3 if connection.version != 3 else 4
    connection.send(wire.OPTIONS, version=other)
    try:
        error(connection.receive(), 0x000A)
    except Closed:
        pass


@each_version
def a_second_STARTUP_is_a_protocol_error(env, connection):
    error(connection.ask(wire.STARTUP, wire.string_map({"CQL_VERSION": "3.0.0"})), 0x000A)


@each_version
def an_answer_to_authentication_that_was_not_asked_for_is_a_protocol_error(env, connection):
    error(connection.ask(0x0F, wire.long_string(b"\0user\0pass")), 0x000A)


@each_version
def opcodes_of_the_server_and_unknown_ones_are_protocol_errors(env, connection):
    for opcode in (wire.ERROR, wire.READY, 0x03, wire.SUPPORTED, wire.RESULT, wire.EVENT, 0x0E, 0x10, 0x04, 0x11, 0xFF):
        with started(env, connection.version) as other:
            try:
                error(other.ask(opcode), 0x000A)
            except Closed:
                pass
    equal(connection.ask(wire.OPTIONS).opcode, wire.SUPPORTED)
