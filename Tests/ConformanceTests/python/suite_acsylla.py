"""The C++ driver, by way of acsylla: an independent stack that asks system.peers alone."""

import asyncio

import acsylla

from harness import PATIENCE, behaviour, equal, true
from ring import HANGING


def with_session(env, use, keyspace=True, **options):
    """Runs `use(session)` with a session of the C++ driver."""
    if keyspace:
        env.make_keyspace()

    async def go():
        given = dict(
            port=env.ring.port, consistency="QUORUM", connect_timeout=float(PATIENCE),
            request_timeout=float(PATIENCE), log_level="error")
        given.update(options)
        cluster = acsylla.create_cluster([env.ring.addresses[0]], **given)
        session = await cluster.create_session(keyspace=env.keyspace if keyspace else None)
        try:
            return await use(session)
        finally:
            await session.close()
    return asyncio.run(asyncio.wait_for(go(), HANGING))


async def local_key(session):
    result = await session.query("SELECT key FROM system.local")
    equal(result.first().column_value("key"), "local")


@behaviour
def it_connects_by_itself(env):
    with_session(env, local_key, keyspace=False)


@behaviour
def it_connects_with_versions_3_and_4(env):
    for version in (3, 4):
        with_session(env, local_key, keyspace=False, protocol_version=version)


@behaviour
def it_writes_and_reads(env):
    name = env.table("k int PRIMARY KEY, a text, b bigint, c boolean, d double, e blob, f uuid")

    async def use(session):
        text = f"INSERT INTO {name} (k, a, b, c, d, e) VALUES (?, ?, ?, ?, ?, ?)"
        statement = (await session.create_prepared(text)).bind()
        statement.bind_list([1, "text", 2**40, True, 1.5, b"\x00\xff"])
        await session.execute(statement)
        result = await session.query(f"SELECT k, a, b, c, d, e, f FROM {name} WHERE k = 1")
        return result.first().as_dict()
    equal(with_session(env, use), {
        "k": 1, "a": "text", "b": 2**40, "c": True, "d": 1.5, "e": b"\x00\xff", "f": None})


@behaviour
def it_prepares_and_pages(env):
    name = env.table("k int, c int, PRIMARY KEY (k, c)")

    async def use(session):
        insert = await session.create_prepared(f"INSERT INTO {name} (k, c) VALUES (?, ?)")
        for c in range(50):
            statement = insert.bind()
            statement.bind_list([c % 3, c])
            await session.execute(statement)
        select = await session.create_prepared(f"SELECT c FROM {name}")
        statement = select.bind(page_size=7)
        seen = []
        while True:
            result = await session.execute(statement)
            page = [row.column_value("c") for row in result]
            true(len(page) <= 7, f"a page of {len(page)} rows")
            seen += page
            if not result.has_more_pages():
                return seen
            statement.set_page_state(result.page_state())
    equal(sorted(with_session(env, use)), list(range(50)))


@behaviour
def it_writes_a_batch(env):
    name = env.table("k int PRIMARY KEY")

    async def use(session):
        batch = acsylla.create_batch_logged()
        for k in range(20):
            statement = acsylla.create_statement(f"INSERT INTO {name} (k) VALUES (?)", parameters=1)
            statement.bind_list([k])
            batch.add_statement(statement)
        await session.execute_batch(batch)
        result = await session.query(f"SELECT count(*) FROM {name}")
        return result.first().column_value("count")
    equal(with_session(env, use), 20)


@behaviour
def it_knows_the_schema(env):
    name = env.table("k int, c text, v double, PRIMARY KEY (k, c)")

    async def use(session):
        metadata = session.get_metadata()
        true(env.keyspace in metadata.get_keyspaces(), "the keyspace is known")
        true(
            name in [table.name for table in metadata.get_tables_meta(env.keyspace)],
            "the table is known")
        table = metadata.get_table_meta(env.keyspace, name)
        return {column.name: column.type for column in table.columns}
    columns = with_session(env, use)
    equal(sorted(columns), ["c", "k", "v"])


@behaviour
def a_refusal_reaches_it_with_its_text(env):
    async def use(session):
        try:
            await session.query("SELECT * FROM nowhere_at_all")
        except Exception as error:
            return str(error)
        return "accepted"
    text = with_session(env, use)
    true("nowhere_at_all" in text, text)
