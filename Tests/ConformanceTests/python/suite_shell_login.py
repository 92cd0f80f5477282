"""Names and passwords of `coterie shell` beside cqlsh: which files they are read from, and what is warned about."""

import os
import tempfile

from auth_ring import auth_ring
from harness import Behaviour, asserted_refusal, behaviour, equal, true, _behaviours
from shells import both

CREDENTIALS, RULES = ".cassandra/credentials", ".cassandra/cqlshrc"
LOGIN = "username = cassandra\npassword = cassandra\n"
PROVIDER = "[auth_provider]\nmodule = cassandra.auth\nclassname = PlainTextAuthProvider\n"


def beside(env, files, options=(), statements="PAGING"):
    """What both do with files of that text and mode in the home folder, which is HOME in texts and options."""
    own = auth_ring(env)
    with tempfile.TemporaryDirectory() as home:
        for name, (text, mode) in files.items():
            path = os.path.join(home, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write(text.replace("HOME", home))
            os.chmod(path, mode)
        return both(own, statements, keyspace=False, home=home,
                    options=[option.replace("HOME", home) for option in options])


def alike(name, files, options=(), code=0):
    def check(env):
        ours, theirs = beside(env, files, options)
        equal(ours.errors, theirs.errors)
        equal((ours.output, ours.code), (theirs.output, theirs.code))
        equal(ours.code, code)
        if code:
            asserted_refusal("Connection error")

    _behaviours.append(Behaviour("as in cqlsh: " + name, check))


alike("nobody is not let in", {}, code=1)
alike("credentials for shells of any age", {CREDENTIALS: ("[plain_text_auth]\n" + LOGIN, 0o600)})
alike("credentials of a provider", {CREDENTIALS: ("[PlainTextAuthProvider]\n" + LOGIN, 0o600)})
alike("sections count as they are written", {CREDENTIALS: ("[plaintextauthprovider]\n" + LOGIN, 0o600)}, code=1)
alike("the older section wins", {CREDENTIALS: (
    "[PlainTextAuthProvider]\nusername = x\npassword = y\n[plain_text_auth]\n" + LOGIN, 0o600)})
alike("a password that is wrong", {CREDENTIALS: (
    "[plain_text_auth]\nusername = cassandra\npassword = cass%andra\n", 0o600)}, code=1)
alike("credentials that others may read", {CREDENTIALS: ("[plain_text_auth]\n" + LOGIN, 0o644)}, code=1)
alike("credentials that the group may write", {CREDENTIALS: ("[plain_text_auth]\n" + LOGIN, 0o620)})
alike("credentials of another file", {"c": ("[PlainTextAuthProvider]\n" + LOGIN, 0o600)},
      ["--credentials", "HOME/c"])
alike("credentials of a file that is not there", {}, ["--credentials", "HOME/c"], code=1)
alike("credentials of a file that cqlshrc names", {
    RULES: ("[authentication]\ncredentials = HOME/c\n", 0o600), "c": ("[plain_text_auth]\n" + LOGIN, 0o600)})
alike("credentials beside another cqlshrc", {
    "d/rc": ("[ui]\n", 0o600), "d/credentials": ("[plain_text_auth]\n" + LOGIN, 0o600)}, ["--cqlshrc", "HOME/d/rc"])
alike("a cqlshrc that is not there", {CREDENTIALS: ("[plain_text_auth]\n" + LOGIN, 0o600)},
      ["--cqlshrc", "HOME/d/rc"])
alike("a login in cqlshrc", {RULES: ("[authentication]\n" + LOGIN, 0o600)})
alike("a login in a cqlshrc that others may read", {RULES: ("[authentication]\n" + LOGIN, 0o644)})
alike("a provider with its login", {RULES: (PROVIDER + LOGIN, 0o600)})
alike("a provider with its login that others may read", {RULES: (PROVIDER + LOGIN, 0o644)})
alike("a provider whose password is a credential", {
    RULES: (PROVIDER + "username = cassandra\n", 0o600),
    CREDENTIALS: ("[PlainTextAuthProvider]\npassword = cassandra\n", 0o600)})
alike("a provider that is not named", {
    RULES: ("[auth_provider]\nusername = cassandra\n", 0o600),
    CREDENTIALS: ("[PlainTextAuthProvider]\npassword = cassandra\n", 0o600)})
alike("a provider that is named by half", {RULES: ("[auth_provider]\nmodule = cassandra.auth\n" + LOGIN, 0o600)},
      code=1)
alike("a password of the command line", {}, ["-u", "cassandra", "-p", "cassandra"])
alike("a password of the command line without a warning", {CREDENTIALS: (
    "[plain_text_auth]\nusername = x\npassword = y\n", 0o600)},
    ["-u", "cassandra", "-p", "cassandra", "--insecure-password-without-warning"])


@behaviour
def another_provider_is_refused_by_name(env):
    ours, theirs = beside(env, {RULES: ("[auth_provider]\nmodule = x.y\nclassname = Z\n" + LOGIN, 0o600)})
    equal((ours.code, theirs.code), (1, 1))
    true("x.y.Z is not supported" in ours.errors, ours.errors)
    asserted_refusal("is not supported")


@behaviour
def a_LOGIN_that_is_refused_says_so_as_in_cqlsh(env):
    ours, theirs = beside(
        env, {CREDENTIALS: ("[plain_text_auth]\n" + LOGIN, 0o600)},
        statements="LOGIN cassandra 'wrong'; LOGIN nobody 'x'; LOGIN cassandra 'cassandra'; PAGING; LOGIN a b")
    equal((ours.errors, ours.code), (theirs.errors, theirs.code))
    true("PAGING is ON" in ours.output, ours.output)
    asserted_refusal("AuthenticationFailed")
