"""What this server does not do yet: refused by name, never accepted in silence.

Each row stands in docs/COMPATIBILITY.md too, word for word; a behaviour that begins to work moves to
the suite of its statement.
"""

import os
import re

from cassandra import InvalidRequest

import table
from harness import behaviour, equal, fill, true


def names(env):
    def make():
        plain = env.table("k int PRIMARY KEY, v int, l list<int>")
        env.execute("CREATE TYPE pair (a int, b int)")
        wide = env.table("k int, c int, v int, PRIMARY KEY (k, c)")
        return {"plain": plain, "wide": wide}
    return env.shared("names", make)


CASES = [
    ("ANN OF", "SELECT * FROM $wide WHERE k = 1 ORDER BY v ANN OF [1.0] LIMIT 3", "not supported"),
    ("an index", "CREATE INDEX ON $plain (v)", "CREATE INDEX is not supported"),
    ("a custom index", "CREATE CUSTOM INDEX ON $plain (v) USING 'sai'",
     "CREATE INDEX is not supported"),
    ("a materialized view",
     "CREATE MATERIALIZED VIEW refused AS SELECT * FROM $wide WHERE k IS NOT NULL "
     "AND c IS NOT NULL AND v IS NOT NULL PRIMARY KEY (v, k, c)",
     "CREATE MATERIALIZED VIEW is not supported"),
    ("a function",
     "CREATE FUNCTION twice (x int) RETURNS NULL ON NULL INPUT RETURNS int LANGUAGE java "
     "AS 'return x * 2;'", "CREATE FUNCTION is not supported"),
    ("an aggregate",
     "CREATE AGGREGATE total (int) SFUNC plus STYPE int INITCOND 0",
     "CREATE AGGREGATE is not supported"),
    ("a trigger", "CREATE TRIGGER refused ON $plain USING 'x'", "CREATE TRIGGER is not supported"),
    ("dropping an index", "DROP INDEX refused", "DROP INDEX is not supported"),
    ("an identity", "ADD IDENTITY 'x' TO ROLE 'y'", "ADD IDENTITY is not supported"),
    ("the list of superusers", "LIST SUPERUSERS", "LIST SUPERUSERS is not supported"),
    ("permissions on one function", "GRANT EXECUTE ON FUNCTION f(int) TO someone",
     "User-defined functions are not supported"),
    ("permissions on management beans", "GRANT SELECT ON ALL MBEANS TO someone",
     "Permissions on MBEANS are not supported"),
    ("dynamic data masking", "CREATE TABLE masked (k int PRIMARY KEY, v text MASKED WITH DEFAULT)",
     "MASKED WITH"),
]

def refuse(env, statement, phrase):
    statement = fill(statement, names(env))
    if statement.startswith("PREPARE "):
        run = lambda: env.session.prepare(statement[len("PREPARE "):])
    else:
        run = lambda: env.session.execute(statement)
    return env.refused(InvalidRequest, phrase, run)


def register(name, statement, phrase):
    def check(env):
        refuse(env, statement, phrase)
    check.__name__ = "refused: " + name
    check.statement = table.statement_of(statement)
    behaviour(check)


for _case in CASES:
    register(*_case)


@behaviour
def every_refusal_is_in_the_compatibility_page(env):
    path = os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "docs", "COMPATIBILITY.md")
    with open(path) as file:
        text = file.read()
    missing = []
    for name, statement, phrase in CASES:
        message = re.search(r'message="(.*)"$', str(refuse(env, statement, phrase))).group(1)
        if message not in text:
            missing.append(f"{name}: {message}")
    equal(missing, [], "refusals that docs/COMPATIBILITY.md does not have")


@behaviour
def a_refused_statement_changed_nothing(env):
    for name in ("plain", "wide"):
        equal(env.rows(f"SELECT * FROM {names(env)[name]}"), [])
    true(env.rows(
        "SELECT * FROM system_schema.indexes WHERE keyspace_name = '%s'" % env.keyspace) == [],
        "no index")


@behaviour
def dropping_if_exists_what_no_keyspace_has_does_nothing(env):
    for statement in (
            "DROP INDEX IF EXISTS nowhere", f"DROP INDEX IF EXISTS {env.keyspace}.nowhere",
            "DROP MATERIALIZED VIEW IF EXISTS nowhere", "DROP FUNCTION IF EXISTS nowhere",
            "DROP FUNCTION IF EXISTS nowhere (int, list<text>)", "DROP AGGREGATE IF EXISTS nowhere (int)"):
        env.execute(statement)
