"""Counts what the suites prove, statement by statement, so that a statement without behaviours is seen.

A behaviour is a pair of statement and rule: repeats over types or numbers count once. A refusal counts if its code and a
phrase were asserted while it ran. What needs several nodes is counted by the run that has them.
"""

import os
import re

STATEMENTS = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "BATCH", "TRUNCATE", "USE", "DESCRIBE",
    "CREATE KEYSPACE", "ALTER KEYSPACE", "DROP KEYSPACE", "CREATE TABLE", "ALTER TABLE", "DROP TABLE",
    "CREATE TYPE", "ALTER TYPE", "DROP TYPE", "CREATE INDEX", "DROP INDEX",
    "CREATE MATERIALIZED VIEW", "ALTER MATERIALIZED VIEW", "DROP MATERIALIZED VIEW",
    "CREATE FUNCTION", "DROP FUNCTION", "CREATE AGGREGATE", "DROP AGGREGATE", "CREATE TRIGGER", "DROP TRIGGER",
    "CREATE ROLE", "ALTER ROLE", "DROP ROLE", "CREATE USER", "ALTER USER", "DROP USER", "LIST", "GRANT", "REVOKE",
]

# What a suite is about when the behaviour itself does not say it.
SUBJECTS = {
    "read": "SELECT", "group_by": "SELECT", "selection": "SELECT", "functions": "SELECT", "unsupported": "anything else",
    "connect": "the protocol", "protocol": "the protocol", "limits": "the protocol", "fuzz": "the protocol",
    "prepared": "the protocol", "events": "the protocol", "metadata": "the system's tables",
    "settings": "the system's tables", "virtual_tables": "the system's tables",
    "cqlsh": "clients", "shell": "clients", "shell_copy": "clients", "shell_login": "clients", "gocql": "clients", "acsylla": "clients", "mapper": "clients",
    "drivers": "clients", "admin": "the operator's commands", "failures": "the ring", "crash": "the ring",
    "shards": "the ring",
}

TYPES = (
    "ascii bigint blob boolean counter date decimal double duration float inet int smallint text time timestamp "
    "timeuuid tinyint uuid varchar varint list set map tuple vector frozen").split()
_repeats = re.compile(r"\b(" + "|".join(TYPES) + r")\b(<[^ ]*>)?|'[^']*'|[0-9]+")


def statement_of(text):
    """The statement that a text begins with, or nothing."""
    words = re.sub(r"\s+", " ", text[:500].strip()).upper()
    if words.startswith(("BEGIN ", "BATCH")):
        return "BATCH"
    words = re.sub(r"^CREATE (CUSTOM|OR REPLACE) ", "CREATE ", words).replace("DESC ", "DESCRIBE ")
    words = re.sub(r"^(CREATE|ALTER|DROP) COLUMNFAMILY", r"\1 TABLE", words)
    for statement in STATEMENTS:
        if words == statement or words.startswith(statement + " "):
            return statement
    return None


def most_telling(executed):
    """The statement that a behaviour is most likely about: not those that only prepare or look at the result."""
    for statement in reversed(executed):
        if statement not in ("SELECT", "INSERT", "CREATE TABLE", "DROP TABLE", "CREATE KEYSPACE", "DROP KEYSPACE", "USE"):
            return statement
    for statement in ("INSERT", "CREATE TABLE", "CREATE KEYSPACE", "SELECT"):
        if statement in executed:
            return statement
    return "anything else"


def note(folder, suite, done):
    """Keeps what held of a suite, in place of its earlier run."""
    path = os.path.join(folder, "behaviours.tsv")
    rows = [row for row in read(path) if row[0] != suite]
    rows += done
    with open(path, "w") as file:
        file.writelines("\t".join(row).replace("\n", " ") + "\n" for row in rows)


def read(path):
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return [tuple(line.rstrip("\n").split("\t", 3)) for line in file]


def lines(folder, suites, is_whole):
    """The table, and what is missing in it if it is to be whole."""
    noted = read(os.path.join(folder, "behaviours.tsv"))
    rows = [row for row in noted if row[2] != "elsewhere"]
    elsewhere = len(noted) - len(rows)
    distinct = {(statement, kind, _repeats.sub("*", name)) for _, statement, kind, name in rows}
    subjects = {statement for statement, _, _ in distinct}
    order = STATEMENTS + sorted(subjects - set(STATEMENTS))
    result = [f"# {'statement':28} behaviours  refusals"]
    counts = {}
    for subject in order:
        refusals = sum(1 for s, kind, _ in distinct if s == subject and kind == "refusal")
        total = sum(1 for s, _, _ in distinct if s == subject)
        counts[subject] = total
        result.append(f"# {subject:28} {total:10} {refusals:9}")
    refusals = sum(1 for _, kind, _ in distinct if kind == "refusal")
    result.append(f"# {'together':28} {len(distinct):10} {refusals:9}   ({len(rows)} with repeats over types)")
    if elsewhere:
        result.append(f"# {'need several nodes, not run here':28} {elsewhere:6}")
    left = sorted(set(suites) - {row[0] for row in noted})
    if not is_whole:
        return result
    if left:
        result.append("# not run, so not counted: " + ", ".join(left))
        return result
    for subject in STATEMENTS:
        if counts[subject] == 0:
            result.append(f"FAIL table: {subject}: no suite has a behaviour of it")
    if len(distinct) < 1000:
        result.append(f"FAIL table: {len(distinct)} behaviours are fewer than 1000")
    if refusals * 3 < len(distinct):
        result.append(f"FAIL table: {refusals} refusals are less than a third of {len(distinct)} behaviours")
    return result
