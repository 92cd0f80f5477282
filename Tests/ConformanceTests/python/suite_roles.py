"""Roles and logging in: CREATE, ALTER, DROP, GRANT, REVOKE and LIST of roles and users, passwords.

The suite has a ring of its own, of one node, that asks for passwords and judges permissions.
"""

import os
import subprocess
import sys
import tempfile

from cassandra import InvalidRequest, Unauthorized
from cassandra.protocol import SyntaxException

from auth_ring import (
    AUTH_SUCCESS, AUTHENTICATE, AuthEnvironment, Client, auth_ring)
from auth_ring import refused as refused_answer
from harness import PATIENCE, Failed, behaviour as registered, equal, eventually, fill, true
from ring import HANGING, Ring

HASH_OF_SECRET = "$2a$04$saltsaltsaltsaltsaltsO2dLNc4JX0Yp5H6sMGgqeCUw3p5uUhbq"


def behaviour(function):
    """A behaviour of the suite's own ring."""
    def check(env):
        own = auth_ring(env)
        people(own)
        function(own)
    check.__name__ = function.__name__
    registered(check)
    return function


def people(own):
    """The roles that most behaviours need: nobody of them is a superuser."""
    def make():
        own.session
        for role in ("plain", "maker"):
            own.execute(f"CREATE ROLE {role} WITH PASSWORD = '{role}' AND LOGIN = true")
            own.execute(f"GRANT ALL ON KEYSPACE {own.keyspace} TO {role}")
        own.execute("CREATE ROLE group_a")
        own.execute("CREATE ROLE group_b")
        own.execute("GRANT group_a TO group_b")
        own.execute("CREATE ROLE chief WITH SUPERUSER = true AND LOGIN = true AND PASSWORD = 'chief'")
        own.execute("GRANT CREATE, DESCRIBE ON ALL ROLES TO maker")
        return True
    return own.shared("people", make)


def refused(group, cases, role=None):
    """Each `(name, statement, exception, phrase)` is refused for that role, or for the superuser."""
    for name, statement, exception, phrase in cases:
        def check(env, statement=statement, exception=exception, phrase=phrase):
            own = auth_ring(env)
            people(own)
            session = own.of(role) if role else own.session
            own.refused(exception, phrase, lambda: session.execute(statement))
        check.__name__ = f"refused: {group}: {name}"
        registered(check)


def unique(own):
    own.counter = getattr(own, "counter", 0) + 1
    return f"role_{own.counter}"


def role(own, name):
    """The row of a role in LIST ROLES: superuser and login; nothing if there is none."""
    for row in own.rows("LIST ROLES"):
        if row[0] == name:
            return row[1:3]
    return None


# CREATE ROLE

refused("CREATE ROLE", [
    ("that is there", "CREATE ROLE plain", InvalidRequest, "plain already exists"),
    ("without a name", "CREATE ROLE ''", InvalidRequest, "Role name can't be an empty string"),
    ("two kinds of password",
     f"CREATE ROLE x WITH PASSWORD = 'a' AND HASHED PASSWORD = '{HASH_OF_SECRET}'",
     SyntaxException, "Options 'password' and 'hashed password' are mutually exclusive"),
    ("no hash", "CREATE ROLE x WITH HASHED PASSWORD = 'abc'", InvalidRequest,
     "Invalid hashed password value. Please use jBcrypt."),
    ("a hash of another kind", "CREATE ROLE x WITH HASHED PASSWORD = '$1$" + "a" * 57 + "'",
     InvalidRequest, "Invalid hashed password value"),
    ("options", "CREATE ROLE x WITH OPTIONS = {'a': 'b'}", InvalidRequest,
     "org.apache.cassandra.auth.CassandraRoleManager doesn't support OPTIONS"),
    ("datacenters", "CREATE ROLE x WITH ACCESS TO DATACENTERS {'dc1', 'dc2'}", InvalidRequest,
     "ACCESS TO DATACENTERS operations not supported by AllowAllNetworkAuthorizer"),
    ("all datacenters", "CREATE ROLE x WITH LOGIN = true AND ACCESS TO ALL DATACENTERS",
     InvalidRequest, "ACCESS TO DATACENTERS operations not supported"),
    ("addresses", "CREATE ROLE x WITH ACCESS FROM CIDRS {'group'}", InvalidRequest,
     "ACCESS FROM CIDRS operations not supported"),
    ("PASSWORD twice", "CREATE ROLE x WITH PASSWORD = 'a' AND PASSWORD = 'b'", SyntaxException,
     "Multiple definition for property 'PASSWORD'"),
    ("LOGIN twice", "CREATE ROLE x WITH LOGIN = true AND LOGIN = true", SyntaxException,
     "Multiple definition for property 'LOGIN'"),
    ("SUPERUSER twice", "CREATE ROLE x WITH SUPERUSER = true AND SUPERUSER = true",
     SyntaxException, "Multiple definition for property 'SUPERUSER'"),
    ("a number for a password", "CREATE ROLE x WITH PASSWORD = 1", SyntaxException,
     "mismatched input '1'"),
    ("a text for LOGIN", "CREATE ROLE x WITH LOGIN = 'true'", SyntaxException,
     "mismatched input"),
    ("an unknown option", "CREATE ROLE x WITH COLOUR = 'red'", SyntaxException,
     "no viable alternative"),
    ("a marker for a name", "CREATE ROLE ?", SyntaxException,
     "Bind variables cannot be used for role names"),
    ("without a name at all", "CREATE ROLE", SyntaxException, "no viable alternative"),
])
refused("CREATE ROLE without permission", [
    ("a role", "CREATE ROLE x", Unauthorized,
     "User plain does not have sufficient privileges to perform the requested operation"),
    ("a superuser", "CREATE ROLE x WITH SUPERUSER = true", Unauthorized,
     "User plain does not have sufficient privileges"),
    ("one that is there", "CREATE ROLE maker", Unauthorized,
     "User plain does not have sufficient privileges"),
], "plain")
refused("CREATE ROLE by one who may", [
    ("a superuser", "CREATE ROLE x WITH SUPERUSER = true", Unauthorized,
     "Only superusers can create a role with superuser status"),
], "maker")


@behaviour
def a_new_role_may_neither_log_in_nor_do_everything(own):
    name = unique(own)
    own.execute(f"CREATE ROLE {name}")
    equal(role(own, name), (False, False))
    row = own.rows(f"SELECT can_login, is_superuser, member_of, salted_hash "
                   f"FROM system_auth.roles WHERE role = '{name}'")
    equal(row, [(False, False, None, None)])


@behaviour
def a_role_is_created_with_its_options(own):
    name = unique(own)
    own.execute(f"CREATE ROLE {name} WITH LOGIN = true AND SUPERUSER = true AND PASSWORD = 'x'")
    equal(role(own, name), (True, True))


@behaviour
def a_role_that_is_there_stays_as_it_is_with_if_not_exists(own):
    own.execute("CREATE ROLE IF NOT EXISTS plain WITH SUPERUSER = true")
    equal(role(own, "plain"), (False, True))


@behaviour
def the_name_of_a_role_is_folded_unless_it_is_quoted(own):
    own.execute("CREATE ROLE FoldedRole")
    own.execute('CREATE ROLE "QuotedRole"')
    own.execute("CREATE ROLE 'Literal Role'")
    for name in ("foldedrole", "QuotedRole", "Literal Role"):
        true(role(own, name) is not None, name)


@behaviour
def the_password_is_kept_as_a_bcrypt_hash(own):
    name = unique(own)
    own.execute(f"CREATE ROLE {name} WITH PASSWORD = 'secret' AND LOGIN = true")
    found = own.rows(f"SELECT salted_hash FROM system_auth.roles WHERE role = '{name}'")[0][0]
    true(found.startswith("$2a$04$") and len(found) == 60, found)


@behaviour
def a_hash_may_be_given_in_place_of_the_password(own):
    first, second = unique(own), unique(own)
    own.execute(f"CREATE ROLE {first} WITH PASSWORD = 'secret' AND LOGIN = true")
    found = own.rows(f"SELECT salted_hash FROM system_auth.roles WHERE role = '{first}'")[0][0]
    own.execute(f"CREATE ROLE {second} WITH HASHED PASSWORD = '{found}' AND LOGIN = true")
    own.login(second, "secret")
    own.refused_login("are incorrect", second, "other")


@behaviour
def whoever_creates_a_role_may_alter_and_drop_it(own):
    name = unique(own)
    maker = own.of("maker")
    maker.execute(f"CREATE ROLE {name}")
    equal(
        [row[3] for row in maker.execute(f"LIST ALL PERMISSIONS ON ROLE {name} OF maker NORECURSIVE")],
        ["ALTER", "DROP", "AUTHORIZE", "DESCRIBE"])
    equal(list(maker.execute(f"LIST ALL PERMISSIONS OF {name}")), [])
    maker.execute(f"ALTER ROLE {name} WITH LOGIN = true")
    maker.execute(f"DROP ROLE {name}")
    equal(role(own, name), None)


# CREATE USER

refused("CREATE USER", [
    ("that is there", "CREATE USER plain WITH PASSWORD 'x'", InvalidRequest, "plain already exists"),
    ("in quotation marks", "CREATE USER \"x\" WITH PASSWORD 'x'", SyntaxException,
     "Quoted strings are are not supported for user names and USER is deprecated"),
    ("with an equals sign", "CREATE USER x WITH PASSWORD = 'x'", SyntaxException,
     "mismatched input '='"),
    ("a marker for a name", "CREATE USER ?", SyntaxException,
     "Bind variables cannot be used for user names"),
])


@behaviour
def a_user_is_a_role_that_may_log_in(own):
    own.execute("CREATE USER user_one WITH PASSWORD 'pw'")
    own.execute("CREATE USER user_two WITH PASSWORD 'pw' SUPERUSER")
    own.execute("CREATE USER user_three WITH PASSWORD 'pw' NOSUPERUSER")
    own.execute("CREATE USER IF NOT EXISTS user_one WITH PASSWORD 'other' SUPERUSER")
    equal([role(own, f"user_{name}") for name in ("one", "two", "three")],
          [(False, True), (True, True), (False, True)])
    own.login("user_one", "pw")


@behaviour
def the_name_of_a_user_keeps_its_case(own):
    own.execute("CREATE USER MixedCase WITH PASSWORD 'pw'")
    equal(role(own, "MixedCase"), (False, True))
    own.execute("ALTER USER MixedCase SUPERUSER")
    equal(role(own, "MixedCase"), (True, True))
    own.execute("DROP USER MixedCase")
    equal(role(own, "MixedCase"), None)


# ALTER ROLE

refused("ALTER ROLE", [
    ("that is not there", "ALTER ROLE nobody WITH LOGIN = true", InvalidRequest,
     "Role nobody doesn't exist"),
    ("without a change", "ALTER ROLE plain", InvalidRequest, "ALTER [ROLE|USER] can't be empty"),
    ("one's own status", "ALTER ROLE cassandra WITH SUPERUSER = false", Unauthorized,
     "You aren't allowed to alter your own superuser status or that of a role granted to you"),
    ("options", "ALTER ROLE plain WITH OPTIONS = {'a': 'b'}", InvalidRequest,
     "doesn't support OPTIONS"),
    ("no hash", "ALTER ROLE plain WITH HASHED PASSWORD = ''", InvalidRequest,
     "Invalid hashed password value"),
    ("two kinds of password",
     f"ALTER ROLE plain WITH PASSWORD = 'a' AND HASHED PASSWORD = '{HASH_OF_SECRET}'",
     SyntaxException, "mutually exclusive"),
    ("datacenters", "ALTER ROLE plain WITH ACCESS TO ALL DATACENTERS", InvalidRequest,
     "ACCESS TO DATACENTERS operations not supported"),
    ("a user that is not there", "ALTER USER nobody WITH PASSWORD 'x'", InvalidRequest,
     "Role nobody doesn't exist"),
    ("a user without a change", "ALTER USER plain", InvalidRequest,
     "ALTER [ROLE|USER] can't be empty"),
])
refused("ALTER ROLE without permission", [
    ("of another", "ALTER ROLE maker WITH PASSWORD = 'x'", Unauthorized,
     "User plain does not have sufficient privileges to perform the requested operation"),
    ("status", "ALTER ROLE maker WITH SUPERUSER = true", Unauthorized,
     "Only superusers are allowed to alter superuser status"),
    ("own status", "ALTER ROLE plain WITH SUPERUSER = true", Unauthorized,
     "You aren't allowed to alter your own superuser status"),
    ("own login", "ALTER ROLE plain WITH LOGIN = false", Unauthorized,
     "You aren't allowed to alter LOGIN"),
    ("of one that is not there", "ALTER ROLE nobody WITH PASSWORD = 'x'", Unauthorized,
     "User plain does not have sufficient privileges"),
], "plain")


@behaviour
def a_role_that_is_not_there_is_no_error_with_if_exists(own):
    own.execute("ALTER ROLE IF EXISTS nobody WITH LOGIN = true")
    equal(role(own, "nobody"), None)


@behaviour
def a_role_changes_its_own_password(own):
    name = unique(own)
    own.execute(f"CREATE ROLE {name} WITH PASSWORD = 'old' AND LOGIN = true")
    own.login(name, "old").execute(f"ALTER ROLE {name} WITH PASSWORD = 'new'")
    own.login(name, "new")
    own.refused_login(f"Provided username {name} and/or password are incorrect", name, "old")


@behaviour
def a_superuser_changes_what_a_role_is(own):
    name = unique(own)
    own.execute(f"CREATE ROLE {name}")
    own.execute(f"ALTER ROLE {name} WITH LOGIN = true AND SUPERUSER = true")
    equal(role(own, name), (True, True))
    own.execute(f"ALTER ROLE {name} WITH SUPERUSER = false")
    equal(role(own, name), (False, True))


@behaviour
def a_role_that_loses_login_is_not_let_in_any_more(own):
    name = unique(own)
    own.execute(f"CREATE ROLE {name} WITH PASSWORD = 'x' AND LOGIN = true")
    own.login(name, "x")
    own.execute(f"ALTER ROLE {name} WITH LOGIN = false")
    own.refused_login(f"{name} is not permitted to log in", name, "x")


# DROP ROLE

refused("DROP ROLE", [
    ("that is not there", "DROP ROLE nobody", InvalidRequest, "Role nobody doesn't exist"),
    ("oneself", "DROP ROLE cassandra", InvalidRequest,
     "Cannot DROP primary role for current login"),
    ("a user that is not there", "DROP USER nobody", InvalidRequest, "Role nobody doesn't exist"),
    ("a user in quotation marks", 'DROP USER "x"', SyntaxException,
     "Quoted strings are are not supported for user names"),
    ("a marker for a name", "DROP ROLE ?", SyntaxException,
     "Bind variables cannot be used for role names"),
])
refused("DROP ROLE without permission", [
    ("another", "DROP ROLE maker", Unauthorized,
     "User plain does not have sufficient privileges to perform the requested operation"),
    ("a superuser", "DROP ROLE chief", Unauthorized,
     "User plain does not have sufficient privileges"),
    ("one that is not there", "DROP ROLE IF EXISTS nobody", Unauthorized,
     "User plain does not have sufficient privileges"),
], "plain")


@behaviour
def a_role_goes_with_all_that_was_said_of_it(own):
    name, member = unique(own), unique(own)
    own.execute(f"CREATE ROLE {name} WITH PASSWORD = 'x' AND LOGIN = true")
    own.execute(f"CREATE ROLE {member}")
    own.execute(f"GRANT {name} TO {member}")
    own.execute(f"GRANT group_a TO {name}")
    own.execute(f"GRANT SELECT ON KEYSPACE {own.keyspace} TO {name}")
    own.execute(f"GRANT DROP ON ROLE {name} TO plain")
    own.execute(f"DROP ROLE {name}")
    equal(role(own, name), None)
    equal(own.rows(f"LIST ROLES OF {member}"), [(member, False, False, {}, "ALL")])
    for table, column in (
            ("role_permissions", "role"), ("role_members", "role"), ("roles", "role")):
        equal(own.rows(f"SELECT {column} FROM system_auth.{table} WHERE {column} = '{name}'"), [],
              table)
    equal(own.rows("SELECT member FROM system_auth.role_members WHERE role = 'group_a'"),
          [("group_b",)])
    equal(own.rows("SELECT role FROM system_auth.resource_role_permissons_index "
                   f"WHERE resource = 'roles/{name}'"), [])
    own.refused_login("are incorrect", name, "x")


@behaviour
def a_role_made_again_has_nothing_of_the_old_one(own):
    name = unique(own)
    own.execute(f"CREATE ROLE {name} WITH SUPERUSER = true")
    own.execute(f"GRANT group_a TO {name}")
    own.execute(f"DROP ROLE {name}")
    own.execute(f"CREATE ROLE {name}")
    equal(own.rows(f"LIST ROLES OF {name}"), [(name, False, False, {}, "ALL")])


@behaviour
def dropping_what_is_not_there_is_no_error_with_if_exists(own):
    own.execute("DROP ROLE IF EXISTS nobody")
    own.execute("DROP USER IF EXISTS nobody")


@behaviour
def a_superuser_may_drop_another_but_one_with_the_permission_may_not(own):
    name = unique(own)
    own.execute(f"CREATE ROLE {name} WITH SUPERUSER = true")
    own.execute(f"GRANT DROP ON ROLE {name} TO maker")
    own.refused(
        Unauthorized, "Only superusers can drop a role with superuser status",
        lambda: own.of("maker").execute(f"DROP ROLE {name}"))
    own.of("chief").execute(f"DROP ROLE {name}")


# GRANT and REVOKE of roles

refused("GRANT of a role", [
    ("to itself", "GRANT group_a TO group_a", InvalidRequest, "group_a is a member of group_a"),
    ("in a circle", "GRANT group_b TO group_a", InvalidRequest, "group_b is a member of group_a"),
    ("twice", "GRANT group_a TO group_b", InvalidRequest, "group_b is a member of group_a"),
    ("that is not there", "GRANT nothing TO plain", InvalidRequest, "nothing doesn't exist"),
    ("to nobody", "GRANT group_a TO nobody", InvalidRequest, "nobody doesn't exist"),
    ("without TO", "GRANT group_a", SyntaxException, "mismatched input"),
])
refused("REVOKE of a role", [
    ("that was not granted", "REVOKE group_b FROM plain", InvalidRequest,
     "plain is not a member of group_b"),
    ("that is not there", "REVOKE nothing FROM plain", InvalidRequest, "nothing doesn't exist"),
    ("from nobody", "REVOKE group_a FROM nobody", InvalidRequest, "nobody doesn't exist"),
    ("with TO", "REVOKE group_a TO plain", SyntaxException, "mismatched input"),
])
refused("GRANT of a role without permission", [
    ("to oneself", "GRANT chief TO plain", Unauthorized,
     "User plain does not have sufficient privileges to perform the requested operation"),
    ("that is not there", "GRANT nothing TO plain", Unauthorized,
     "User plain does not have sufficient privileges"),
    ("taking one away", "REVOKE group_a FROM group_b", Unauthorized,
     "User plain does not have sufficient privileges"),
], "plain")


@behaviour
def a_longer_circle_is_refused_too(own):
    first, second, third = unique(own), unique(own), unique(own)
    for name in (first, second, third):
        own.execute(f"CREATE ROLE {name}")
    own.execute(f"GRANT {first} TO {second}")
    own.execute(f"GRANT {second} TO {third}")
    own.refused(InvalidRequest, f"{third} is a member of {first}",
                lambda: own.execute(f"GRANT {third} TO {first}"))
    own.execute(f"REVOKE {first} FROM {second}")
    own.execute(f"GRANT {third} TO {first}")


@behaviour
def a_member_of_a_superuser_is_one(own):
    name = unique(own)
    own.execute(f"CREATE ROLE {name} WITH PASSWORD = '{name}' AND LOGIN = true")
    session = own.login(name)
    own.refused(Unauthorized, "sufficient privileges", lambda: session.execute("CREATE ROLE other_x"))
    own.execute(f"GRANT chief TO {name}")
    session.execute("CREATE ROLE other_x")
    session.execute("DROP ROLE other_x")
    own.execute(f"REVOKE chief FROM {name}")
    own.refused(Unauthorized, "sufficient privileges", lambda: session.execute("CREATE ROLE other_x"))


@behaviour
def a_role_whose_name_is_a_word_of_permissions_can_be_granted(own):
    own.execute("CREATE ROLE all")
    own.execute("GRANT all TO plain")
    true("all" in [row[0] for row in own.rows("LIST ROLES OF plain")], "all is granted")
    own.execute("REVOKE all FROM plain")
    own.execute("DROP ROLE all")


# LIST ROLES and LIST USERS

refused("LIST ROLES", [
    ("of nobody", "LIST ROLES OF nobody", InvalidRequest, "<role nobody> doesn't exist"),
    ("a marker for a name", "LIST ROLES OF ?", SyntaxException,
     "Bind variables cannot be used for role names"),
    ("of what", "LIST ROLES OF", SyntaxException, "no viable alternative"),
    ("superusers", "LIST SUPERUSERS", InvalidRequest, "LIST SUPERUSERS is not supported"),
    ("nothing", "LIST", SyntaxException, "no viable alternative"),
])
refused("LIST ROLES without permission", [
    ("of another", "LIST ROLES OF maker", Unauthorized,
     "You are not authorized to view roles granted to maker"),
    ("of nobody", "LIST ROLES OF nobody", InvalidRequest, "<role nobody> doesn't exist"),
], "plain")


@behaviour
def the_list_of_roles_is_sorted_and_has_cassandras_columns(own):
    result = own.session.execute("LIST ROLES")
    equal(result.column_names, ["role", "super", "login", "options", "datacenters"])
    rows = list(result)
    equal([row[0] for row in rows], sorted(row[0] for row in rows))
    true(("cassandra", True, True, {}, "ALL") in rows, "the default superuser")


@behaviour
def the_roles_of_a_role_are_listed_with_or_without_those_of_its_roles(own):
    name = unique(own)
    own.execute(f"CREATE ROLE {name}")
    own.execute(f"GRANT group_b TO {name}")
    equal([row[0] for row in own.rows(f"LIST ROLES OF {name}")], ["group_a", "group_b", name])
    equal([row[0] for row in own.rows(f"LIST ROLES OF {name} NORECURSIVE")], ["group_b", name])


@behaviour
def who_may_not_describe_roles_sees_its_own(own):
    own.execute("GRANT group_b TO plain")
    equal([row[0] for row in own.of("plain").execute("LIST ROLES")], ["group_a", "group_b", "plain"])
    equal([row[0] for row in own.of("plain").execute("LIST ROLES OF group_b")],
          ["group_a", "group_b"])
    own.execute("REVOKE group_b FROM plain")


@behaviour
def who_may_describe_roles_sees_them_all(own):
    names = [row[0] for row in own.of("maker").execute("LIST ROLES")]
    true({"cassandra", "plain", "maker", "chief", "group_a"} <= set(names), names)


@behaviour
def the_list_of_users_has_those_who_may_log_in(own):
    result = own.session.execute("LIST USERS")
    equal(result.column_names, ["name", "super", "datacenters"])
    rows = list(result)
    true(("cassandra", True, "ALL") in rows and ("plain", False, "ALL") in rows, rows)
    true("group_a" not in [row[0] for row in rows], "a role without login is no user")


# Logging in

def logged_in(own, version):
    with Client(own, version) as client:
        answer = client.begin()
        equal(answer.opcode, AUTHENTICATE)
        true(answer.body[2:] == b"org.apache.cassandra.auth.PasswordAuthenticator", answer.body)
        success = client.log_in("plain", "plain")
        equal(success.opcode, AUTH_SUCCESS)
        equal(success.body, b"\xff\xff\xff\xff")
        client.query("SELECT key FROM system.local")
        equal(client.receive().kind, 2)


@behaviour
def version_3_logs_in(own):
    logged_in(own, 3)


@behaviour
def version_4_logs_in(own):
    logged_in(own, 4)


@behaviour
def version_5_logs_in(own):
    logged_in(own, 5)


def register_refused_token(name, token, code, phrase):
    def check(env):
        own = auth_ring(env)
        people(own)
        with Client(own) as client:
            client.begin()
            refused_answer(client.respond(token), code, phrase)
            # The connection is as it was: who knows the password is let in.
            equal(client.log_in("plain", "plain").opcode, AUTH_SUCCESS)
    check.__name__ = "refused: a login: " + name
    registered(check)


for _case in [
        ("a wrong password", b"\0plain\0wrong", 0x100,
         "Provided username plain and/or password are incorrect"),
        ("an unknown name", b"\0nobody\0x", 0x100,
         "Provided username nobody and/or password are incorrect"),
        ("a role without a password", b"\0group_a\0x", 0x100,
         "Provided username group_a and/or password are incorrect"),
        ("an empty password", b"\0plain\0", 0x100, "Password must not be null"),
        ("an empty name", b"\0\0plain", 0x100, "Authentication ID must not be null"),
        ("no token", None, 0x100, "Password must not be null"),
        ("a token without NUL", b"plain", 0x100, "Password must not be null"),
        ("one NUL too many", b"a\0plain\0pl\0ain", 0x100, "Credential format error"),
        ("the case of a name", b"\0Plain\0plain", 0x100, "Provided username Plain"),
        ("a password that goes on", b"\0plain\0plain2", 0x100, "are incorrect")]:
    register_refused_token(*_case)


@behaviour
def the_first_part_of_a_token_does_not_matter(own):
    with Client(own) as client:
        client.begin()
        equal(client.respond(b"someone\0plain\0plain").opcode, AUTH_SUCCESS)


def register_too_early(name, opcode, body):
    def check(env):
        own = auth_ring(env)
        people(own)
        with Client(own) as client:
            client.begin()
            refused_answer(
                client.ask(opcode, body(client)), 0xA, f"Unexpected message {name}, expecting SASL_RESPONSE")
    check.__name__ = f"refused: before the login: {name}"
    registered(check)


register_too_early("QUERY", 0x07, lambda client: client.query_body("SELECT key FROM system.local"))
register_too_early("OPTIONS", 0x05, lambda client: b"")
register_too_early("REGISTER", 0x0B, lambda client: b"\0\0")
register_too_early("PREPARE", 0x09, lambda client: b"\0\0\0\x06SELECT")


@behaviour
def a_second_login_on_the_same_connection_is_refused(own):
    with Client(own) as client:
        client.begin()
        client.log_in("plain", "plain")
        refused_answer(client.log_in("plain", "plain"), 0xA, "Unexpected message AUTH_RESPONSE")


@behaviour
def the_driver_is_refused_with_a_wrong_password_in_every_version(own):
    for version in (3, 4, 5):
        own.refused_login("Provided username plain and/or password are incorrect", "plain", "wrong",
                          protocol_version=version)


@behaviour
def the_driver_logs_in_with_every_version(own):
    for version in (3, 4, 5):
        session = own.login("plain", protocol_version=version)
        equal(len(list(session.execute("SELECT key FROM system.local"))), 1)


@behaviour
def the_driver_without_credentials_is_refused(own):
    try:
        own.cluster(auth_provider=None).connect()
    except Exception as error:
        true("requires authentication" in str(error).lower()
             or "authentication" in str(error).lower(), str(error))
        return
    raise Failed("it was let in")


@behaviour
def a_role_without_login_is_refused(own):
    name = unique(own)
    own.execute(f"CREATE ROLE {name} WITH PASSWORD = 'x'")
    own.refused_login(f"{name} is not permitted to log in", name, "x")


@behaviour
def a_long_password_counts_by_its_first_72_bytes_as_bcrypt_has_it(own):
    name = unique(own)
    password = "x" * 80
    own.execute(f"CREATE ROLE {name} WITH PASSWORD = '{password}' AND LOGIN = true")
    own.login(name, password)
    own.refused_login("are incorrect", name, "x" * 71)


@behaviour
def a_password_of_any_characters_works(own):
    name = unique(own)
    own.execute(f"CREATE ROLE {name} WITH PASSWORD = 'ä€ 😀''\"' AND LOGIN = true")
    own.login(name, "ä€ 😀'\"")


@behaviour
def the_default_password_is_warned_of(own):
    session = own.login("cassandra")
    future = session.execute_async("SELECT key FROM system.local")
    future.result()
    warnings = future.warnings or []
    # The driver asks something of its own first on its control connection, not on this one.
    true(any("default password" in text for text in warnings), warnings)


@behaviour
def prepared_statements_work_after_a_login(own):
    session = own.of("plain")
    session.execute("CREATE TABLE IF NOT EXISTS prepared_by_plain (k int PRIMARY KEY, v int)")
    insert = session.prepare("INSERT INTO prepared_by_plain (k, v) VALUES (?, ?)")
    session.execute(insert, (1, 2))
    equal(list(session.execute("SELECT v FROM prepared_by_plain WHERE k = 1")), [(2,)])


def cqlsh(own, *arguments):
    program = os.path.join(os.path.dirname(sys.executable), "cqlsh")
    with tempfile.TemporaryDirectory() as home:
        return subprocess.run(
            [sys.executable, program, "--no-color", "--connect-timeout", str(PATIENCE),
             own.ring.addresses[0], str(own.ring.port), *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=HANGING, env={**os.environ, "HOME": home, "PYTHONWARNINGS": "ignore"})


@behaviour
def cqlsh_logs_in_with_user_and_password(own):
    result = cqlsh(own, "-u", "chief", "-p", "chief", "-e", "LIST ROLES OF group_b")
    equal(result.returncode, 0, result.stdout)
    true("group_a" in result.stdout, result.stdout)


@behaviour
def cqlsh_is_refused_with_a_wrong_password(own):
    result = cqlsh(own, "-u", "chief", "-p", "wrong", "-e", "LIST ROLES")
    true(result.returncode != 0, "it was let in")
    true("Provided username chief and/or password are incorrect" in result.stdout, result.stdout)


# Where nobody is asked

def open_ring(env):
    """The ring of the other suites, which lets everybody in."""
    return env


for _name, _statement, _exception, _phrase in [
        ("CREATE ROLE", "CREATE ROLE x", Unauthorized,
         "You have to be logged in and not anonymous to perform this request"),
        ("CREATE ROLE with a password", "CREATE ROLE x WITH PASSWORD = 'x'", InvalidRequest,
         "org.apache.cassandra.auth.CassandraRoleManager doesn't support PASSWORD"),
        ("CREATE ROLE of a superuser", "CREATE ROLE x WITH SUPERUSER = true", Unauthorized,
         "Only superusers can create a role with superuser status"),
        ("ALTER ROLE", "ALTER ROLE cassandra WITH LOGIN = true", Unauthorized,
         "You have to be logged in and not anonymous"),
        ("DROP ROLE", "DROP ROLE cassandra", Unauthorized,
         "You have to be logged in and not anonymous"),
        ("GRANT of a role", "GRANT a TO b", Unauthorized,
         "You have to be logged in and not anonymous"),
        ("REVOKE of a role", "REVOKE a FROM b", Unauthorized,
         "You have to be logged in and not anonymous"),
        ("LIST ROLES", "LIST ROLES", Unauthorized, "You have to be logged in and not anonymous"),
        ("LIST USERS", "LIST USERS", Unauthorized, "You have to be logged in and not anonymous"),
        ("GRANT", "GRANT SELECT ON KEYSPACE system TO x", Unauthorized,
         "You have to be logged in and not anonymous"),
        ("LIST PERMISSIONS", "LIST ALL PERMISSIONS", Unauthorized,
         "You have to be logged in and not anonymous")]:
    def _check(env, statement=_statement, exception=_exception, phrase=_phrase):
        env.refused(exception, phrase, lambda: env.session.execute(statement))
    _check.__name__ = "refused: where nobody is asked who he is: " + _name
    registered(_check)


# A cluster's first minutes, and its restarts

@behaviour
def roles_outlive_a_kill(own):
    name = unique(own)
    own.execute(f"CREATE ROLE {name} WITH PASSWORD = 'x' AND LOGIN = true")
    own.ring.kill(1)
    own.ring.start(1)
    eventually(lambda: own.login(name, "x"))


@registered
def the_default_superuser_is_made_by_its_first_login_and_not_made_again(env):
    own = auth_ring(env)
    folder = os.path.join(env.ring.folder, "of-first-login")
    ring = Ring.up(
        env.ring.binary, folder, 1, settings=["authenticator=PasswordAuthenticator",
                                              "auth_bcrypt_gensalt_log2_rounds=4"])
    try:
        first = AuthEnvironment(ring, "first")
        first.refused_login("are incorrect", "cassandra", "guessed")
        session = first.login("cassandra")
        session.execute("CREATE ROLE boss WITH SUPERUSER = true AND LOGIN = true AND PASSWORD = 'boss'")
        first.login("boss").execute("DROP ROLE cassandra")
        first.refused_login("are incorrect", "cassandra")
        for statement, phrase in (
                ("GRANT SELECT ON KEYSPACE system TO boss", "GRANT operation is not supported by AllowAllAuthorizer"),
                ("REVOKE SELECT ON KEYSPACE system FROM boss", "REVOKE operation is not supported by AllowAllAuthorizer"),
                ("LIST ALL PERMISSIONS", "LIST PERMISSIONS operation is not supported by AllowAllAuthorizer")):
            first.refused(InvalidRequest, phrase,
                          lambda: first.login("boss").execute(statement))
        first.close()
    finally:
        ring.down()
