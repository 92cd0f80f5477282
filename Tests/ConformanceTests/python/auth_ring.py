"""A ring of its own for suites about roles: passwords are asked for, and permissions are judged.

Its caches last 100 ms and bcrypt is at its cheapest, so that a suite does not wait.
"""

import os
import shutil
import struct

from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import NoHostAvailable

import wire
from harness import Environment, Failed, asserted_refusal
from ring import Ring

SETTINGS = [
    "authenticator=PasswordAuthenticator", "roles_validity=100ms", "permissions_validity=100ms",
    "credentials_validity=100ms", "auth_bcrypt_gensalt_log2_rounds=4"]
AUTHENTICATE, AUTH_RESPONSE, AUTH_SUCCESS, ERROR = 0x03, 0x0F, 0x10, 0x00


class AuthEnvironment(Environment):
    """Sessions of any role on that ring; those of nobody in particular are the default superuser's."""

    def cluster(self, profile=None, role="cassandra", password=None, **options):
        options.setdefault(
            "auth_provider",
            PlainTextAuthProvider(role, role if password is None else password))
        return super().cluster(profile, **options)

    def login(self, role, password=None, keyspace=None, **options):
        """A session of its own for that role."""
        return self.cluster(
            role=role, password=password, schema_metadata_enabled=False,
            token_metadata_enabled=False, **options).connect(keyspace)

    def of(self, role):
        """The session of a role whose password is its name, opened once."""
        return self.shared("session of " + role, lambda: self.login(role, keyspace=self.keyspace))

    def refused_login(self, phrase, role, password=None, **options):
        """Fails unless the driver is told that phrase with the code of bad credentials."""
        try:
            self.login(role, password, **options)
        except NoHostAvailable as error:
            text = str(error)
            if phrase not in text or "code=0100" not in text:
                raise Failed(f"expected code=0100 and {phrase!r}, got {text!r}") from None
            asserted_refusal(phrase)
            return
        raise Failed(f"{role} was let in")


def refused(frame, code, phrase):
    """Fails unless the answer is an ERROR with that code and that phrase."""
    found, text = error_of(frame)
    if found != code or phrase not in text:
        raise Failed(f"expected {hex(code)} with {phrase!r}, got {hex(found)} with {text!r}")
    asserted_refusal(phrase)


def auth_ring(env, nodes=1, settings=("authorizer=CassandraAuthorizer",)):
    """The environment of the suite's own ring, started when first asked for."""
    def make():
        folder = os.path.join(env.ring.folder, "of-" + env.suite)
        shutil.rmtree(folder, ignore_errors=True)
        ring = Ring.up(env.ring.binary, folder, nodes, settings=SETTINGS + list(settings))
        own = AuthEnvironment(ring, env.suite)

        def stop():
            own.close()
            Ring(env.ring.binary, folder).down()
            shutil.rmtree(folder, ignore_errors=True)
        env.at_end(stop)
        return own
    return env.shared("auth ring", make)


class Client(wire.Wire):
    """A client that does not know what it must not do."""

    def __init__(self, own, version=4):
        super().__init__(own.ring.addresses[0], own.ring.port, version=version)

    def begin(self):
        answer = self.start()
        # The next frames have the framing of the version, also after AUTHENTICATE.
        self.segments = self.version >= 5
        return answer

    def respond(self, token):
        """AUTH_RESPONSE with these bytes, or with none."""
        body = struct.pack(">i", -1) if token is None else struct.pack(">i", len(token)) + token
        return self.ask(AUTH_RESPONSE, body)

    def log_in(self, role, password):
        return self.respond(b"\0" + role.encode() + b"\0" + password.encode())


def error_of(frame):
    """The code and the text of an ERROR."""
    if frame.opcode != ERROR:
        raise Failed(f"expected an ERROR, got opcode {frame.opcode}")
    code, length = struct.unpack(">iH", frame.body[:6])
    return code, frame.body[6:6 + length].decode()
