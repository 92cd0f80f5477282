"""What this server does not do yet: refused by name, never accepted in silence.

Each row stands in docs/COMPATIBILITY.md too, word for word; a behaviour that begins to work moves to
the suite of its statement.
"""

import os
import re

from cassandra import InvalidRequest

from harness import behaviour, equal, fill, refusals, true


def names(env):
    def make():
        plain = env.table("k int PRIMARY KEY, v int, t text")
        lists = env.table("k int PRIMARY KEY, l list<int>, s set<int>, m map<int, int>")
        counters = env.table("k int PRIMARY KEY, n counter")
        wide = env.table("k int, c int, v int, PRIMARY KEY (k, c)")
        return {"plain": plain, "lists": lists, "counters": counters, "wide": wide}
    return env.shared("names", make)


LWT = "lightweight transactions"
CASES = [
    ("IF NOT EXISTS on a row", "INSERT INTO $plain (k, v) VALUES (1, 1) IF NOT EXISTS", LWT),
    ("IF EXISTS on an update", "UPDATE $plain SET v = 1 WHERE k = 1 IF EXISTS", LWT),
    ("a condition on an update", "UPDATE $plain SET v = 1 WHERE k = 1 IF v = 2", LWT),
    ("a condition on a deletion", "DELETE FROM $plain WHERE k = 1 IF EXISTS", LWT),
    ("a conditional batch",
     "BEGIN BATCH INSERT INTO $plain (k) VALUES (1) IF NOT EXISTS APPLY BATCH", LWT),
    ("a counter", "UPDATE $counters SET n = n + 1 WHERE k = 1", "Counter tables are not supported"),
    ("a counter batch",
     "BEGIN COUNTER BATCH UPDATE $counters SET n = n + 1 WHERE k = 1 APPLY BATCH", "ounter"),
    ("writing a list", "INSERT INTO $lists (k, l) VALUES (1, [1])", "non-frozen collections"),
    ("writing a set", "INSERT INTO $lists (k, s) VALUES (1, {1})", "non-frozen collections"),
    ("writing a map", "INSERT INTO $lists (k, m) VALUES (1, {1: 1})", "non-frozen collections"),
    ("appending to a list", "UPDATE $lists SET l = l + [1] WHERE k = 1", "non-frozen collections"),
    ("an element of a map", "UPDATE $lists SET m[1] = 1 WHERE k = 1", "non-frozen collections"),
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
    ("a role", "CREATE ROLE someone", "CREATE ROLE is not supported"),
    ("a user", "CREATE USER someone WITH PASSWORD 'x'", "CREATE USER is not supported"),
    ("a grant", "GRANT SELECT ON $plain TO someone", "GRANT is not supported"),
    ("the list of roles", "LIST ROLES", "LIST ROLES is not supported"),
    ("a copy of a table's schema", "CREATE TABLE copied LIKE $plain",
     "CREATE TABLE LIKE is not supported"),
    ("INSERT JSON", "INSERT INTO $plain JSON '{\"k\": 1}'", "INSERT JSON is not supported"),
    ("SELECT JSON", "SELECT JSON * FROM $plain", "JSON is not supported"),
    ("GROUP BY", "SELECT k, c, v FROM $wide GROUP BY k", "GROUP BY is not supported"),
    ("arithmetic", "SELECT v + 1 FROM $plain", "not supported by Coterie yet"),
    ("dynamic data masking", "CREATE TABLE masked (k int PRIMARY KEY, v text MASKED WITH DEFAULT)",
     "MASKED WITH"),
]

refusals(
    [(name, statement, InvalidRequest, phrase) for name, statement, phrase in CASES], names)


@behaviour
def every_refusal_is_in_the_compatibility_page(env):
    path = os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "docs", "COMPATIBILITY.md")
    with open(path) as file:
        text = file.read()
    missing = []
    for name, statement, _ in CASES:
        table = names(env)
        try:
            env.session.execute(fill(statement, table))
        except InvalidRequest as error:
            message = re.search(r'message="(.*)"$', str(error)).group(1)
            if message not in text:
                missing.append(f"{name}: {message}")
        else:
            missing.append(f"{name}: accepted")
    equal(missing, [], "refusals that docs/COMPATIBILITY.md does not have")


@behaviour
def a_refused_statement_changed_nothing(env):
    table = names(env)
    for name in ("plain", "lists", "counters"):
        equal(env.rows(f"SELECT * FROM {table[name]}"), [])
    true(env.rows(
        "SELECT * FROM system_schema.indexes WHERE keyspace_name = '%s'" % env.keyspace) == [],
        "no index")
