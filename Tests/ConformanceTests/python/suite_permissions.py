"""Permissions: what is refused without them, what each one allows, GRANT, REVOKE and LIST.

The suite has a ring of its own, of three nodes, that asks for passwords and judges permissions.
"""

from cassandra import AlreadyExists, ConsistencyLevel, InvalidRequest, Unauthorized
from cassandra.protocol import SyntaxException
from cassandra.query import BatchStatement, BatchType, SimpleStatement

from auth_ring import auth_ring
from harness import Failed, behaviour as registered, equal, eventually, fill, needs, true


def behaviour(function):
    """A behaviour of the suite's own ring."""
    def check(env):
        own = auth_ring(env, nodes=len(env.ring.addresses))
        prepare(own)
        function(own)
    check.__name__ = function.__name__
    check.nodes = getattr(function, "nodes", 1)
    registered(check)
    return function


def prepare(own):
    """Tables, and a role that was granted nothing."""
    def make():
        own.session
        own.execute("ALTER KEYSPACE system_auth WITH replication = "
                    "{'class': 'SimpleStrategy', 'replication_factor': "
                    f"{len(own.ring.addresses)}}}")
        # What is there has one replica: reading it at ALL repairs the others.
        for table in ("roles", "role_permissions"):
            own.session.execute(SimpleStatement(
                f"SELECT * FROM system_auth.{table}", consistency_level=ConsistencyLevel.ALL))
        own.execute("CREATE TABLE t (k int PRIMARY KEY, v int)")
        own.execute("CREATE TABLE other (k int PRIMARY KEY, v int)")
        own.execute("CREATE TABLE counted (k int PRIMARY KEY, c counter)")
        own.execute("CREATE TYPE pair (a int, b int)")
        own.execute("CREATE ROLE none WITH PASSWORD = 'none' AND LOGIN = true")
        own.execute("CREATE ROLE target")
        return True
    return own.shared("permissions prepared", make)


def refused(group, cases, role="none"):
    """Each `(name, statement, exception, phrase)` is refused for that role; `$ks` is the keyspace."""
    for name, statement, exception, phrase in cases:
        def check(env, statement=statement, exception=exception, phrase=phrase):
            own = auth_ring(env, nodes=len(env.ring.addresses))
            prepare(own)
            names = {"ks": own.keyspace}
            session = own.of(role) if role else own.session
            own.refused(exception, fill(phrase, names),
                        lambda: session.execute(fill(statement, names)))
        check.__name__ = f"refused: {group}: {name}"
        registered(check)


def lacks(permission, resource):
    return f"User none has no {permission} permission on {resource} or any of its parents"


# Without any permission

refused("without permission", [
    ("SELECT", "SELECT * FROM t", Unauthorized, lacks("SELECT", "<table $ks.t>")),
    ("SELECT of one row", "SELECT v FROM t WHERE k = 1", Unauthorized,
     lacks("SELECT", "<table $ks.t>")),
    ("SELECT of mutation fragments", "SELECT * FROM MUTATION_FRAGMENTS(t)", Unauthorized,
     lacks("SELECT", "<table $ks.t>")),
    ("SELECT JSON", "SELECT JSON * FROM t", Unauthorized, lacks("SELECT", "<table $ks.t>")),
    ("INSERT", "INSERT INTO t (k, v) VALUES (1, 1)", Unauthorized, lacks("MODIFY", "<table $ks.t>")),
    ("INSERT JSON", "INSERT INTO t JSON '{\"k\": 1}'", Unauthorized,
     lacks("MODIFY", "<table $ks.t>")),
    ("INSERT IF NOT EXISTS", "INSERT INTO t (k, v) VALUES (1, 1) IF NOT EXISTS", Unauthorized,
     lacks("MODIFY", "<table $ks.t>")),
    ("UPDATE", "UPDATE t SET v = 1 WHERE k = 1", Unauthorized, lacks("MODIFY", "<table $ks.t>")),
    ("UPDATE of a counter", "UPDATE counted SET c = c + 1 WHERE k = 1", Unauthorized,
     lacks("MODIFY", "<table $ks.counted>")),
    ("DELETE", "DELETE FROM t WHERE k = 1", Unauthorized, lacks("MODIFY", "<table $ks.t>")),
    ("BATCH", "BEGIN BATCH INSERT INTO t (k, v) VALUES (1, 1); APPLY BATCH", Unauthorized,
     lacks("MODIFY", "<table $ks.t>")),
    ("TRUNCATE", "TRUNCATE t", Unauthorized, lacks("MODIFY", "<table $ks.t>")),
    ("CREATE KEYSPACE",
     "CREATE KEYSPACE made WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
     Unauthorized, lacks("CREATE", "<all keyspaces>")),
    ("ALTER KEYSPACE", "ALTER KEYSPACE $ks WITH durable_writes = true", Unauthorized,
     lacks("ALTER", "<keyspace $ks>")),
    ("DROP KEYSPACE", "DROP KEYSPACE $ks", Unauthorized, lacks("DROP", "<keyspace $ks>")),
    ("CREATE TABLE", "CREATE TABLE made (k int PRIMARY KEY)", Unauthorized,
     lacks("CREATE", "<all tables in $ks>")),
    ("ALTER TABLE", "ALTER TABLE t ADD w int", Unauthorized, lacks("ALTER", "<table $ks.t>")),
    ("DROP TABLE", "DROP TABLE t", Unauthorized, lacks("DROP", "<table $ks.t>")),
    ("CREATE TYPE", "CREATE TYPE made (a int)", Unauthorized, lacks("CREATE", "<all tables in $ks>")),
    ("ALTER TYPE", "ALTER TYPE pair ADD c int", Unauthorized, lacks("ALTER", "<all tables in $ks>")),
    ("DROP TYPE", "DROP TYPE pair", Unauthorized, lacks("DROP", "<all tables in $ks>")),
    ("GRANT", "GRANT SELECT ON t TO none", Unauthorized, lacks("AUTHORIZE", "<table $ks.t>")),
    ("GRANT on all keyspaces", "GRANT ALL ON ALL KEYSPACES TO none", Unauthorized,
     lacks("AUTHORIZE", "<all keyspaces>")),
    ("GRANT on a role", "GRANT ALTER ON ROLE target TO none", Unauthorized,
     lacks("AUTHORIZE", "<role target>")),
    ("REVOKE", "REVOKE SELECT ON t FROM target", Unauthorized, lacks("AUTHORIZE", "<table $ks.t>")),
    ("LIST of everyone's permissions", "LIST ALL PERMISSIONS", Unauthorized,
     "You are not authorized to view everyone's permissions"),
    ("LIST of another's permissions", "LIST ALL PERMISSIONS OF target", Unauthorized,
     "You are not authorized to view target's permissions"),
    ("the table of roles", "SELECT * FROM system_auth.roles", Unauthorized,
     lacks("SELECT", "<table system_auth.roles>")),
    ("another table of the system", "SELECT * FROM system.paxos", Unauthorized,
     lacks("SELECT", "<table system.paxos>")),
    ("writing a role into its table",
     "INSERT INTO system_auth.roles (role, is_superuser) VALUES ('none', true)", Unauthorized,
     lacks("MODIFY", "<table system_auth.roles>")),
    ("altering the replication of roles",
     "ALTER KEYSPACE system_auth WITH replication = "
     "{'class': 'SimpleStrategy', 'replication_factor': 1}", Unauthorized,
     lacks("ALTER", "<keyspace system_auth>")),
])


@behaviour
def everybody_may_read_what_drivers_need(own):
    session = own.of("none")
    for table in (
            "system.local", "system.peers", "system.peers_v2", "system.size_estimates",
            "system.table_estimates", "system_schema.keyspaces", "system_schema.tables",
            "system_schema.columns", "system_schema.types", "system_virtual_schema.tables"):
        session.execute(f"SELECT * FROM {table}")


@behaviour
def everybody_may_use_a_keyspace_and_describe_it(own):
    session = own.of("none")
    session.execute(f"USE {own.keyspace}")
    true("CREATE TABLE" in list(session.execute("DESCRIBE TABLE t"))[0][3], "a statement")


@behaviour
def a_driver_with_all_its_metadata_connects_without_permissions(own):
    cluster = own.cluster(role="none")
    cluster.connect()
    true("t" in cluster.metadata.keyspaces[own.keyspace].tables, "the table is known")


@behaviour
def a_prepared_statement_is_judged_when_it_is_executed(own):
    session = own.of("none")
    prepared = session.prepare("SELECT v FROM t WHERE k = ?")
    own.refused(Unauthorized, lacks("SELECT", f"<table {own.keyspace}.t>"),
                lambda: session.execute(prepared, (1,)))


@behaviour
def each_statement_of_a_batch_is_judged(own):
    name, session = role(own)
    own.execute(f"GRANT MODIFY ON t TO {name}")
    batch = BatchStatement(batch_type=BatchType.UNLOGGED)
    batch.add("INSERT INTO t (k, v) VALUES (70, 1)")
    batch.add("INSERT INTO other (k, v) VALUES (70, 1)")
    allowed(lambda: session.execute("INSERT INTO t (k, v) VALUES (71, 1)"))
    own.refused(Unauthorized, f"has no MODIFY permission on <table {own.keyspace}.other>",
                lambda: session.execute(batch))
    equal(own.rows("SELECT * FROM t WHERE k = 70"), [])


def role(own, *grants):
    """A new role with these grants, and its session."""
    own.counter = getattr(own, "counter", 0) + 1
    name = f"role_{own.counter}"
    own.execute(f"CREATE ROLE {name} WITH PASSWORD = '{name}' AND LOGIN = true")
    for grant in grants:
        own.execute(f"GRANT {fill(grant, {'ks': own.keyspace})} TO {name}")
    return name, own.login(name, keyspace=own.keyspace)


def allowed(action):
    """What was granted on one node is seen on the others when their caches have expired."""
    return eventually(action)


# What each permission allows, at each level

ALLOWED = [
    ("SELECT on a table", "SELECT ON t", ["SELECT * FROM t"], ["SELECT * FROM other"]),
    ("SELECT on TABLE", "SELECT ON TABLE $ks.t", ["SELECT * FROM t"], ["SELECT * FROM other"]),
    ("SELECT on all tables", "SELECT ON ALL TABLES IN KEYSPACE $ks",
     ["SELECT * FROM t", "SELECT * FROM other"], ["TRUNCATE t"]),
    ("SELECT on a keyspace", "SELECT ON KEYSPACE $ks", ["SELECT * FROM t", "SELECT * FROM other"],
     ["SELECT * FROM system_auth.roles"]),
    ("SELECT on all keyspaces", "SELECT ON ALL KEYSPACES",
     ["SELECT * FROM t"],
     ["INSERT INTO t (k, v) VALUES (1, 1)", "SELECT * FROM system_auth.roles",
      "SELECT * FROM system.paxos"]),
    ("SELECT on the system's keyspace of roles", "SELECT ON KEYSPACE system_auth",
     ["SELECT * FROM system_auth.roles"], ["SELECT * FROM t"]),
    ("MODIFY on all keyspaces", "MODIFY ON ALL KEYSPACES",
     ["INSERT INTO t (k, v) VALUES (1, 1)"],
     ["UPDATE system_auth.roles SET is_superuser = true WHERE role = 'target'",
      "TRUNCATE system_auth.roles"]),
    ("AUTHORIZE on all keyspaces", "AUTHORIZE, SELECT ON ALL KEYSPACES",
     ["GRANT SELECT ON t TO target", "REVOKE SELECT ON t FROM target"],
     ["GRANT SELECT ON system_auth.roles TO target"]),
    ("MODIFY on a table", "MODIFY ON t",
     ["INSERT INTO t (k, v) VALUES (1, 1)", "UPDATE t SET v = 2 WHERE k = 1",
      "DELETE FROM t WHERE k = 1", "BEGIN BATCH DELETE FROM t WHERE k = 1; APPLY BATCH",
      "TRUNCATE t"],
     ["SELECT * FROM t", "INSERT INTO t (k, v) VALUES (1, 1) IF NOT EXISTS",
      "INSERT INTO other (k, v) VALUES (1, 1)"]),
    ("MODIFY and SELECT", "MODIFY, SELECT ON t",
     ["INSERT INTO t (k, v) VALUES (9, 1) IF NOT EXISTS", "DELETE FROM t WHERE k = 9 IF EXISTS"],
     ["DROP TABLE t"]),
    ("MODIFY on a keyspace", "MODIFY PERMISSION ON KEYSPACE $ks",
     ["UPDATE counted SET c = c + 1 WHERE k = 1", "INSERT INTO other (k, v) VALUES (1, 1)"],
     ["SELECT * FROM counted"]),
    ("CREATE on all tables", "CREATE ON ALL TABLES IN KEYSPACE $ks",
     ["CREATE TABLE by_creator (k int PRIMARY KEY, v int)",
      "INSERT INTO by_creator (k, v) VALUES (1, 1)", "SELECT * FROM by_creator",
      "ALTER TABLE by_creator ADD w int", "DROP TABLE by_creator", "CREATE TYPE by_creator_of_tables (a int)"],
     ["ALTER TYPE pair ADD c int", "DROP TYPE pair", "ALTER TABLE t ADD w int", "DROP TABLE t"]),
    ("ALTER and DROP on all tables", "ALTER, DROP ON ALL TABLES IN KEYSPACE $ks",
     ["ALTER TYPE pair RENAME b TO c", "ALTER TYPE pair RENAME c TO b", "DROP TYPE IF EXISTS missing"],
     ["CREATE TYPE refused (a int)", "ALTER KEYSPACE $ks WITH durable_writes = true"]),
    ("CREATE on a keyspace", "CREATE ON KEYSPACE $ks",
     ["CREATE TYPE by_creator (a int)", "CREATE TABLE by_other (k int PRIMARY KEY)",
      "DROP TABLE by_other"],
     ["DROP TYPE by_creator", "DROP KEYSPACE $ks", "ALTER TYPE pair ADD c int"]),
    ("CREATE on all keyspaces", "CREATE ON ALL KEYSPACES",
     ["CREATE KEYSPACE by_creator WITH replication = "
      "{'class': 'SimpleStrategy', 'replication_factor': 1}",
      "CREATE TABLE by_creator.t (k int PRIMARY KEY)", "INSERT INTO by_creator.t (k) VALUES (1)",
      "ALTER KEYSPACE by_creator WITH durable_writes = false", "DROP KEYSPACE by_creator"],
     ["DROP KEYSPACE $ks", "SELECT * FROM t"]),
    ("ALTER on a table", "ALTER ON t", ["ALTER TABLE t WITH comment = 'altered'"],
     ["ALTER TABLE other WITH comment = 'x'", "DROP TABLE t"]),
    ("ALTER on a keyspace", "ALTER ON KEYSPACE $ks",
     ["ALTER TABLE other WITH comment = 'altered'", "ALTER TYPE pair RENAME b TO c",
      "ALTER TYPE pair RENAME c TO b", "ALTER KEYSPACE $ks WITH durable_writes = true"],
     ["CREATE TABLE refused (k int PRIMARY KEY)"]),
    ("DROP on a keyspace", "DROP ON KEYSPACE $ks", ["DROP TABLE IF EXISTS missing"],
     ["TRUNCATE t"]),
    ("AUTHORIZE and SELECT", "AUTHORIZE, SELECT ON t",
     ["GRANT SELECT ON t TO target", "REVOKE SELECT ON t FROM target"],
     ["GRANT MODIFY ON t TO target", "GRANT SELECT ON other TO target"]),
    ("ALL on a table", "ALL ON t", ["SELECT * FROM t", "TRUNCATE t",
                                    "ALTER TABLE t WITH comment = 'all'"],
     ["CREATE TABLE refused (k int PRIMARY KEY)"]),
    ("ALL PERMISSIONS on a keyspace", "ALL PERMISSIONS ON KEYSPACE $ks",
     ["CREATE TABLE by_all (k int PRIMARY KEY)", "INSERT INTO by_all (k) VALUES (1)",
      "DROP TABLE by_all"],
     ["SELECT * FROM system_auth.roles"]),
    ("CREATE on roles", "CREATE ON ALL ROLES", ["CREATE ROLE by_creator", "DROP ROLE by_creator"],
     ["DROP ROLE target", "ALTER ROLE target WITH LOGIN = true"]),
    ("ALTER on a role", "ALTER ON ROLE target", ["ALTER ROLE target WITH LOGIN = false"],
     ["DROP ROLE target", "ALTER ROLE none WITH LOGIN = false"]),
    ("AUTHORIZE on a role", "AUTHORIZE ON ROLE target",
     ["GRANT target TO none", "REVOKE target FROM none"], ["GRANT none TO target"]),
    ("DESCRIBE on all roles", "DESCRIBE ON ALL ROLES",
     ["LIST ROLES OF target", "LIST ALL PERMISSIONS OF none", "LIST ALL PERMISSIONS"],
     ["CREATE ROLE refused"]),
    ("DESCRIBE on a role", "DESCRIBE ON ROLE none", ["LIST ALL PERMISSIONS OF none"],
     ["LIST ROLES OF none", "LIST ALL PERMISSIONS", "GRANT none TO target"]),
]


def register_allowed(name, grant, statements, refused_statements):
    def check(env):
        own = auth_ring(env, nodes=len(env.ring.addresses))
        prepare(own)
        names = {"ks": own.keyspace}
        _, session = role(own, grant)
        for statement in statements:
            try:
                allowed(lambda: session.execute(fill(statement, names)))
            except Unauthorized as error:
                raise Failed(f"{statement}: {error}") from None
        for statement in refused_statements:
            own.refused(Unauthorized, "", lambda: session.execute(fill(statement, names)))
    check.__name__ = f"{name} allows what it should and nothing else"
    registered(check)


for _case in ALLOWED:
    register_allowed(*_case)


@behaviour
def a_role_may_do_what_its_roles_may(own):
    name, session = role(own)
    group, _ = role(own, "SELECT ON t")
    outer, _ = role(own)
    own.execute(f"GRANT {group} TO {outer}")
    own.execute(f"GRANT {outer} TO {name}")
    allowed(lambda: session.execute("SELECT * FROM t"))
    own.execute(f"REVOKE {group} FROM {outer}")
    eventually(lambda: own.refused(
        Unauthorized, f"User {name} has no SELECT permission", lambda: session.execute("SELECT * FROM t")))


@behaviour
def everyone_may_read_traces(own):
    session = own.of("none")
    for table in ("sessions", "events"):
        # They have two replicas, one of which may not be there.
        session.execute(SimpleStatement(
            f"SELECT * FROM system_traces.{table}", consistency_level=ConsistencyLevel.ONE))


@behaviour
def a_member_of_a_superuser_may_do_everything(own):
    name, session = role(own)
    own.execute(f"GRANT cassandra TO {name}")
    allowed(lambda: session.execute("SELECT * FROM system_auth.roles"))
    allowed(lambda: session.execute("INSERT INTO t (k, v) VALUES (90, 1)"))


@behaviour
def what_is_revoked_is_refused_soon_on_every_node(own):
    name, session = role(own, "SELECT ON t")
    nodes = [own.login(name, keyspace=own.keyspace) for _ in range(2)] + [session]
    for one in nodes:
        for _ in range(3):
            allowed(lambda: one.execute("SELECT * FROM t"))
    own.execute(f"REVOKE SELECT ON t FROM {name}")
    for one in nodes:
        for _ in range(3):
            eventually(lambda: own.refused(
                Unauthorized, "has no SELECT permission", lambda: one.execute("SELECT * FROM t")))


@behaviour
def a_change_on_a_node_is_seen_there_at_once(own):
    name, _ = role(own)
    admin = own.only(1)
    session = own.login(name, keyspace=own.keyspace, profile=only_first(own))
    for _ in range(5):
        admin.execute(f"GRANT SELECT ON t TO {name}")
        session.execute("SELECT * FROM t")
        admin.execute(f"REVOKE SELECT ON t FROM {name}")
        own.refused(Unauthorized, "has no SELECT permission",
                    lambda: session.execute("SELECT * FROM t"))


def only_first(own):
    from cassandra.policies import WhiteListRoundRobinPolicy
    return own.profile(load_balancing_policy=WhiteListRoundRobinPolicy([own.ring.addresses[0]]))


@behaviour
def a_dropped_role_may_do_nothing_any_more(own):
    name, session = role(own, "ALL ON KEYSPACE $ks")
    allowed(lambda: session.execute("SELECT * FROM t"))
    own.execute(f"DROP ROLE {name}")
    eventually(lambda: own.refused(
        Unauthorized, f"User {name} has no SELECT permission", lambda: session.execute("SELECT * FROM t")))


@behaviour
def many_requests_at_once_are_all_judged(own):
    name, session = role(own, "SELECT ON t")
    futures = [
        session.execute_async("SELECT * FROM t" if n % 2 else "SELECT * FROM other")
        for n in range(400)]
    answers = []
    for n, future in enumerate(futures):
        try:
            future.result()
            answers.append(n % 2 == 1)
        except Unauthorized:
            answers.append(n % 2 == 0)
    equal(answers, [True] * 400)


# What a drop takes along

@behaviour
def a_dropped_table_takes_its_permissions_along(own):
    own.execute("CREATE TABLE passing (k int PRIMARY KEY)")
    name, session = role(own, "SELECT ON passing")
    allowed(lambda: session.execute("SELECT * FROM passing"))
    own.execute("DROP TABLE passing")
    equal(own.rows(f"LIST ALL PERMISSIONS OF {name}"), [])
    own.execute("CREATE TABLE passing (k int PRIMARY KEY)")
    eventually(lambda: own.refused(
        Unauthorized, "has no SELECT permission", lambda: session.execute("SELECT * FROM passing")))
    equal(own.rows("SELECT role FROM system_auth.resource_role_permissons_index WHERE resource = "
                   f"'data/{own.keyspace}/passing' AND role = '{name}'"), [])
    own.execute("DROP TABLE passing")


@behaviour
def a_dropped_keyspace_takes_those_on_its_tables_along(own):
    own.execute("CREATE KEYSPACE passing_ks WITH replication = "
                "{'class': 'SimpleStrategy', 'replication_factor': 1}")
    own.execute("CREATE TABLE passing_ks.t (k int PRIMARY KEY)")
    name, _ = role(
        own, "SELECT ON passing_ks.t", "ALTER ON KEYSPACE passing_ks",
        "CREATE ON ALL TABLES IN KEYSPACE passing_ks", "EXECUTE ON ALL FUNCTIONS IN KEYSPACE passing_ks",
        "SELECT ON t")
    own.execute("DROP KEYSPACE passing_ks")
    equal([row[2] for row in own.rows(f"LIST ALL PERMISSIONS OF {name}")],
          [f"<table {own.keyspace}.t>"])


@behaviour
def whoever_creates_a_keyspace_is_granted_all_on_it(own):
    name, session = role(own, "CREATE ON ALL KEYSPACES")
    allowed(lambda: session.execute(
        "CREATE KEYSPACE IF NOT EXISTS granted_ks WITH replication = "
        "{'class': 'SimpleStrategy', 'replication_factor': 1}"))
    rows = own.rows(f"LIST ALL PERMISSIONS ON KEYSPACE granted_ks OF {name} NORECURSIVE")
    equal([row[3] for row in rows],
          ["CREATE", "ALTER", "DROP", "SELECT", "MODIFY", "AUTHORIZE", "UNMASK", "SELECT_MASKED"])
    equal({row[2] for row in own.rows(f"LIST ALL PERMISSIONS OF {name}")},
          {"<all keyspaces>", "<keyspace granted_ks>", "<all functions in granted_ks>"})
    own.execute("DROP KEYSPACE granted_ks")


# GRANT and REVOKE

refused("GRANT", [
    ("to nobody", "GRANT SELECT ON t TO nobody", InvalidRequest, "Role nobody doesn't exist"),
    ("on no keyspace", "GRANT SELECT ON KEYSPACE nothing TO target", InvalidRequest,
     "Resource <keyspace nothing> doesn't exist"),
    ("on no table", "GRANT SELECT ON nothing TO target", InvalidRequest,
     "Resource <table $ks.nothing> doesn't exist"),
    ("on no table elsewhere", "GRANT SELECT ON nothing.t TO target", InvalidRequest,
     "Resource <table nothing.t> doesn't exist"),
    ("on the tables of no keyspace", "GRANT SELECT ON ALL TABLES IN KEYSPACE nothing TO target",
     InvalidRequest, "Resource <all tables in nothing> doesn't exist"),
    ("on no role", "GRANT ALTER ON ROLE nobody TO target", InvalidRequest,
     "Resource <role nobody> doesn't exist"),
    ("on the functions of no keyspace",
     "GRANT EXECUTE ON ALL FUNCTIONS IN KEYSPACE nothing TO target", InvalidRequest,
     "Resource <all functions in nothing> doesn't exist"),
    ("CREATE on a table", "GRANT CREATE ON t TO target", SyntaxException,
     "Resource type DataResource does not support any of the requested permissions"),
    ("EXECUTE on a keyspace", "GRANT EXECUTE ON KEYSPACE $ks TO target", SyntaxException,
     "Resource type DataResource does not support any of the requested permissions"),
    ("SELECT on roles", "GRANT SELECT ON ALL ROLES TO target", SyntaxException,
     "Resource type RoleResource does not support any of the requested permissions"),
    ("CREATE on a role", "GRANT CREATE ON ROLE none TO target", SyntaxException,
     "Resource type RoleResource does not support any of the requested permissions"),
    ("SELECT on functions", "GRANT SELECT ON ALL FUNCTIONS TO target", SyntaxException,
     "Resource type FunctionResource does not support any of the requested permissions"),
    ("no permission", "GRANT READ ON t TO target", SyntaxException, "expecting K_TO"),
    ("without ON", "GRANT SELECT TO target", SyntaxException, "expecting K_ON"),
    ("without TO", "GRANT SELECT ON t", SyntaxException, "expecting K_TO"),
    ("on a function", "GRANT EXECUTE ON FUNCTION f(int) TO target", InvalidRequest,
     "User-defined functions are not supported"),
    ("on beans", "GRANT SELECT ON ALL MBEANS TO target", InvalidRequest,
     "Permissions on MBEANS are not supported"),
    ("on a bean", "GRANT SELECT ON MBEAN 'x' TO target", InvalidRequest,
     "Permissions on MBEANS are not supported"),
], role=None)
refused("REVOKE", [
    ("from nobody", "REVOKE SELECT ON t FROM nobody", InvalidRequest, "Role nobody doesn't exist"),
    ("on no table", "REVOKE SELECT ON nothing FROM target", InvalidRequest,
     "Resource <table $ks.nothing> doesn't exist"),
    ("CREATE on a table", "REVOKE CREATE ON t FROM target", SyntaxException,
     "Resource type DataResource does not support any of the requested permissions"),
    ("with TO", "REVOKE SELECT ON t TO target", SyntaxException, "expecting K_FROM"),
], role=None)


@behaviour
def a_table_without_a_keyspace_is_one_of_the_keyspace_in_use(own):
    session = own.login("cassandra")
    own.refused(InvalidRequest, "No keyspace has been specified",
                lambda: session.execute("GRANT SELECT ON t TO target"))


@behaviour
def permissions_are_kept_where_cassandra_keeps_them(own):
    name, _ = role(own, "SELECT, MODIFY ON t", "CREATE ON ALL TABLES IN KEYSPACE $ks",
                   "ALL ON ALL ROLES")
    ks = own.keyspace
    equal(own.rows(f"SELECT resource, permissions FROM system_auth.role_permissions WHERE role = '{name}'"),
          [(f"data/{ks}/*", {"CREATE"}), (f"data/{ks}/t", {"MODIFY", "SELECT"}),
           ("roles", {"ALTER", "AUTHORIZE", "CREATE", "DESCRIBE", "DROP"})])
    equal(own.rows("SELECT role FROM system_auth.resource_role_permissons_index "
                   f"WHERE resource = 'data/{ks}/t' AND role = '{name}'"), [(name,)])
    own.execute(f"REVOKE SELECT ON t FROM {name}")
    equal(own.rows("SELECT role FROM system_auth.resource_role_permissons_index "
                   f"WHERE resource = 'data/{ks}/t' AND role = '{name}'"), [(name,)])
    own.execute(f"REVOKE MODIFY ON t FROM {name}")
    equal(own.rows("SELECT role FROM system_auth.resource_role_permissons_index "
                   f"WHERE resource = 'data/{ks}/t' AND role = '{name}'"), [])


def warnings(session, statement):
    future = session.execute_async(statement)
    future.result()
    return [text for text in future.warnings or [] if "default password" not in text]


@behaviour
def granting_again_is_warned_of(own):
    name, _ = role(own, "SELECT ON t")
    equal(warnings(own.session, f"GRANT SELECT, MODIFY ON t TO {name}"),
          [f"Role '{name}' was already granted SELECT on <table {own.keyspace}.t>"])
    equal(warnings(own.session, f"GRANT ALL ON t TO {name}"), [])


@behaviour
def revoking_what_was_not_granted_is_warned_of(own):
    name, _ = role(own, "SELECT ON t")
    equal(warnings(own.session, f"REVOKE SELECT, MODIFY ON t FROM {name}"),
          [f"Role '{name}' was not granted MODIFY on <table {own.keyspace}.t>"])
    equal(warnings(own.session, f"REVOKE ALL ON t FROM {name}"), [])


@behaviour
def all_means_those_that_the_resource_has(own):
    name, _ = role(own, "ALL ON t")
    equal([row[3] for row in own.rows(f"LIST ALL PERMISSIONS OF {name}")],
          ["ALTER", "DROP", "SELECT", "MODIFY", "AUTHORIZE", "UNMASK", "SELECT_MASKED"])
    own.execute(f"REVOKE ALL ON t FROM {name}")
    equal(own.rows(f"LIST ALL PERMISSIONS OF {name}"), [])


# LIST PERMISSIONS

refused("LIST PERMISSIONS", [
    ("of nobody", "LIST ALL PERMISSIONS OF nobody", InvalidRequest, "<role nobody> doesn't exist"),
    ("on no table", "LIST SELECT ON nothing", InvalidRequest, "<table $ks.nothing> doesn't exist"),
    ("on no keyspace", "LIST SELECT ON KEYSPACE nothing", InvalidRequest,
     "<keyspace nothing> doesn't exist"),
    ("no permission", "LIST READ", SyntaxException, "no viable alternative"),
    ("a marker for a name", "LIST ALL PERMISSIONS OF ?", SyntaxException,
     "Bind variables cannot be used for role names"),
], role=None)


@behaviour
def the_list_has_cassandras_columns_and_order(own):
    name, _ = role(own, "MODIFY, SELECT ON t", "SELECT ON KEYSPACE $ks")
    result = own.session.execute(f"LIST ALL PERMISSIONS OF {name}")
    equal(result.column_names, ["role", "username", "resource", "permission"])
    ks = own.keyspace
    equal(list(result),
          [(name, name, f"<keyspace {ks}>", "SELECT"), (name, name, f"<table {ks}.t>", "SELECT"),
           (name, name, f"<table {ks}.t>", "MODIFY")])


@behaviour
def a_list_on_a_resource_holds_what_is_above_it_unless_norecursive(own):
    name, _ = role(own, "MODIFY ON t", "SELECT ON KEYSPACE $ks", "ALTER ON ALL KEYSPACES")
    ks = own.keyspace
    equal([row[2] for row in own.rows(f"LIST ALL PERMISSIONS ON t OF {name}")],
          ["<all keyspaces>", f"<keyspace {ks}>", f"<table {ks}.t>"])
    equal([row[2] for row in own.rows(f"LIST ALL PERMISSIONS ON t OF {name} NORECURSIVE")],
          [f"<table {ks}.t>"])


@behaviour
def a_list_of_some_permissions_leaves_the_others_out(own):
    name, _ = role(own, "MODIFY, SELECT, ALTER ON t")
    equal([row[3] for row in own.rows(f"LIST SELECT, ALTER PERMISSION OF {name}")],
          ["ALTER", "SELECT"])


@behaviour
def the_list_of_a_role_holds_what_its_roles_were_granted(own):
    group, _ = role(own, "SELECT ON t")
    name, session = role(own, "MODIFY ON t")
    own.execute(f"GRANT {group} TO {name}")
    equal([(row[0], row[3]) for row in session.execute(f"LIST ALL PERMISSIONS OF {name}")],
          sorted([(group, "SELECT"), (name, "MODIFY")]))


@behaviour
def a_role_lists_its_own_permissions(own):
    name, session = role(own, "SELECT ON t")
    equal([row[3] for row in session.execute(f"LIST ALL PERMISSIONS OF {name}")], ["SELECT"])
    equal(list(own.of("none").execute("LIST ALL PERMISSIONS OF none")), [])


# Keyspaces of the system

LIMITED = "Granting permissions on system keyspaces is strictly limited, this operation is not permitted"

refused("the system's keyspaces, by a superuser", [
    ("GRANT MODIFY", "GRANT MODIFY ON system_auth.roles TO target", Unauthorized, LIMITED),
    ("GRANT ALL on a keyspace", "GRANT ALL ON KEYSPACE system TO target", Unauthorized, LIMITED),
    ("GRANT AUTHORIZE on all tables", "GRANT AUTHORIZE ON ALL TABLES IN KEYSPACE system_schema TO target",
     Unauthorized, LIMITED),
    ("GRANT on its functions", "GRANT EXECUTE ON ALL FUNCTIONS IN KEYSPACE system TO target", InvalidRequest,
     "Altering permissions on builtin functions is not supported"),
    ("DROP KEYSPACE system_auth", "DROP KEYSPACE system_auth", Unauthorized,
     "Cannot DROP <keyspace system_auth>"),
    ("DROP TABLE", "DROP TABLE system_auth.roles", Unauthorized,
     "Cannot DROP <table system_auth.roles>"),
    ("ALTER TABLE", "ALTER TABLE system_auth.roles ADD x int", Unauthorized,
     "Cannot ALTER <table system_auth.roles>"),
    ("CREATE TABLE", "CREATE TABLE system_auth.more (k int PRIMARY KEY)", Unauthorized,
     "Cannot CREATE <all tables in system_auth>"),
    ("CREATE TYPE", "CREATE TYPE system_traces.more (k int)", Unauthorized,
     "Cannot CREATE <all tables in system_traces>"),
    ("CREATE KEYSPACE", "CREATE KEYSPACE system_auth WITH replication = "
     "{'class': 'SimpleStrategy', 'replication_factor': 1}", AlreadyExists, "system_auth"),
    ("ALTER KEYSPACE system", "ALTER KEYSPACE system WITH durable_writes = false",
     (InvalidRequest, Unauthorized), "not user-modifiable"),
    ("writing to system.local", "UPDATE system.local SET cluster_name = 'x' WHERE key = 'local'",
     Unauthorized, "system keyspace is not user-modifiable."),
], role=None)


@behaviour
@needs(3)
def the_replication_of_roles_is_altered_and_shown(own):
    rows = own.rows("SELECT replication FROM system_schema.keyspaces "
                    "WHERE keyspace_name = 'system_auth'")
    equal(rows[0][0]["replication_factor"], "3")
    true("'replication_factor': '3'" in own.rows("DESCRIBE KEYSPACE system_auth")[0][3], "DESCRIBE")


@behaviour
@needs(3)
def a_role_is_known_while_a_node_is_down(own):
    name, _ = role(own, "SELECT ON t")
    own.ring.kill(3)
    try:
        eventually(lambda: own.login(name, keyspace=own.keyspace))
    finally:
        own.ring.start(3)
