"""SCRAM (RFC 5802, RFC 7677): each side proves that it knows the password, and neither sends it.

With ``-PLUS`` the proofs are bound to this TLS connection, so that an attacker between client and
server cannot pass them on.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn

from attrs import define, field, frozen

from ..errors import GrammarError, LocalProtocolError, RemoteProtocolError
from ..grammar.pattern import pattern
from ..grammar.printable import printable
from ..grammar.secret import Secret, keeps_secret, keeps_secret_arguments
from ..grammar.xtext import decode_base64, encode_base64
from .authenticator import ServerExchange, ask, authorize, wrong_password
from .credentials import Login
from .exchange import Channel, ClientExchange, Denied, Identity, Step
from .prepare import prepared, prepared_secret
from .scram_keys import ScramKeys, client_key, salted_password

# RFC 5802 7. The names of extensions are letters that the RFC does not use. So a message
# with a mandatory extension, m=, does not match.
_EXTENSIONS = r"(?:,[A-Zbdfghj-loqtuw-z]=[^\0,]+)*"
_VALUE = r"[^\0,]+"
_NAME = r"(?:[^\0,=]|=2C|=3D)+"
_NONCE = r"[!-+\--~]+"
_CLIENT_FIRST = pattern(
    rf"((n|y|p=([A-Za-z0-9.-]+)),(?:a=({_NAME}))?,)(n=({_NAME}),r=({_NONCE}){_EXTENSIONS})"
)
_SERVER_FIRST = pattern(rf"r=({_NONCE}),s=({_VALUE}),i=([1-9][0-9]{{0,9}}){_EXTENSIONS}")
_CLIENT_FINAL = pattern(rf"(c=({_VALUE}),r=({_NONCE}){_EXTENSIONS}),p=({_VALUE})")
_SERVER_FINAL = pattern(rf"v=({_VALUE}){_EXTENSIONS}")
_SERVER_ERROR = pattern(rf"e=({_VALUE}){_EXTENSIONS}")


@keeps_secret_arguments
class ScramClient(ClientExchange):
    """The client's side.

    Raises GrammarError for a user name or password that SASLprep prohibits or empties, and for
    *plus* on a channel without bindings.
    """

    def __init__(self, login: Login, channel: Channel, hash_name: str, plus: bool = False) -> None:
        self.channel: Channel = channel
        self.hash_name: str = hash_name
        self.plus: bool = plus
        self._password = prepared_secret(login.password)
        authzid = f"a={_escaped(login.authzid)}" if login.authzid else ""
        self._header = f"{self._flag()},{authzid},"
        self._nonce = fresh_nonce(channel)
        self._bare = f"n={_escaped(login.username)},r={self._nonce}"
        self._next_step: Callable[[str], str] = self._server_first
        self._initial_requested = self._server_proved = False

    def _flag(self) -> str:
        """Return the channel binding flag (RFC 5802 6)."""
        bindings = self.channel.bindings
        if self.plus and not bindings:
            raise GrammarError("this connection has no channel binding: -PLUS cannot be used")
        if self.plus:
            return f"p={next(iter(bindings))}"
        return "y" if bindings and not self.channel.peer_binds else "n"

    def initial(self) -> Secret:
        """Return the client-first-message."""
        return Secret(self._header + self._bare)

    @keeps_secret
    def step(self, challenge: bytes) -> Secret:
        """Return the proof of the password; then check the server's proof.

        Raises RemoteProtocolError for an invalid challenge, and for a wrong proof.
        """
        step, self._next_step = self._next_step, _after_end
        try:
            return Secret(step(_text(challenge)))
        except GrammarError as error:
            raise RemoteProtocolError(error.message) from None

    def finish(self) -> None:
        """Raise RemoteProtocolError unless the server has proved itself (RFC 5802 5)."""
        if not self._server_proved:
            raise RemoteProtocolError(
                "the server accepted the login but did not prove that it knows the password"
            )

    def _server_first(self, message: str) -> str:
        if not message and not self._initial_requested:  # AUTH had no room for the first message
            self._initial_requested, self._next_step = True, self._server_first
            return self._header + self._bare
        if self._is_refusal(message):
            return ""
        nonce, salt, iterations = _read(_SERVER_FIRST, message, "server-first-message")
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise GrammarError("the server's nonce does not extend the client's")
        binding = next(iter(self.channel.bindings.values())) if self.plus else b""
        without_proof = f"c={_base64(self._header.encode() + binding)},r={nonce}"
        signed = f"{self._bare},{message},{without_proof}".encode()
        shape = _octets(salt), int(iterations), self.hash_name
        salted = salted_password(self._password, *shape)
        keys = ScramKeys.of_salted(salted, *shape)
        proof = keys.masked(client_key(salted, self.hash_name), signed)
        self._next_step = functools.partial(self._server_final, keys.signature(signed))
        return f"{without_proof},p={_base64(proof)}"

    def _server_final(self, signature: bytes, message: str) -> str:
        if not self._is_refusal(message):
            (proof,) = _read(_SERVER_FINAL, message, "server-final-message")
            self._server_proved = hmac.compare_digest(_octets(proof), signature)
            if not self._server_proved:
                raise GrammarError("the server does not know the password: its proof is wrong")
        return ""

    def _is_refusal(self, message: str) -> bool:
        """Return whether *message* refuses the login, and keep its reason (``e=``).

        The client then sends an empty response, and the reply follows.
        """
        if error := _SERVER_ERROR.fullmatch(message):
            self.details: Mapping[str, str] = {"scram-error": printable(error[1])}
        return error is not None


@frozen
class _FirstMessages:
    """What the server keeps of the first message of each side."""

    username: str
    authzid: str
    known: bool
    """Whether the user exists."""
    keys: ScramKeys
    bound: bytes
    nonce: str
    messages: str


@define(eq=False)
class ScramServer(ServerExchange):
    """The server's side.

    A user who does not exist gets a salt too, always the same, and fails at the proof, just like a
    user whose password is wrong.
    """

    hash_name: str
    plus: bool = False
    _next_step: Callable[[str], Awaitable[Step]] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._next_step = self._client_first

    async def _answer(self, response: Secret) -> Step:
        """Ask the authenticator for keys, check the client's proof, and send the server's.

        Raises GrammarError for a response that is not a SCRAM message, or that does not match the
        previous one or the channel; LocalProtocolError if the authenticator returns keys for
        another hash.
        """
        step, self._next_step = self._next_step, _after_end
        return await step(_text(response.reveal()))

    async def _client_first(self, message: str) -> bytes:
        read = _read(_CLIENT_FIRST, message, "client-first-message")
        header, flag, binding, authzid, bare, username, nonce = read
        bound = header.encode() + self._binding(flag, binding)
        username, authzid = _unescaped(username), _unescaped(authzid) if authzid else ""
        known, keys = await self._keys(username)
        nonce += fresh_nonce(self.channel)
        challenge = f"r={nonce},s={_base64(keys.salt)},i={keys.iterations}"
        messages = f"{bare},{challenge}"
        first = _FirstMessages(username, authzid, known, keys, bound, nonce, messages)
        self._next_step = functools.partial(self._client_final, first)
        return challenge.encode()

    async def _client_final(self, first: _FirstMessages, message: str) -> bytes | Denied:
        read = _read(_CLIENT_FINAL, message, "client-final-message")
        without_proof, bound, nonce, proof = read
        if nonce != first.nonce:
            raise GrammarError("the client's nonce is not the one of this exchange")
        if bound != _base64(first.bound):
            raise GrammarError("not bound to this channel, or not the header of the first message")
        signed = f"{first.messages},{without_proof}".encode()
        proved = first.keys.proved(_octets(proof), signed)
        if not (proved and first.known):
            return wrong_password(first.username)
        return await self._authorize(first, first.keys.signature(signed))

    async def _authorize(self, first: _FirstMessages, signature: bytes) -> bytes | Denied:
        name = f"SCRAM-{self.hash_name}{'-PLUS' if self.plus else ''}"
        end = await authorize(self.authenticator, name, first.username, first.authzid)
        if isinstance(end, Denied):
            return end
        self._next_step = functools.partial(self._acknowledged, end)
        return f"v={_base64(signature)}".encode()

    async def _acknowledged(self, identity: Identity, message: str) -> Identity:
        """Take the empty response to the server-final-message, which SMTP cannot send with 235."""
        if message:
            raise GrammarError("the response to the server-final-message of SCRAM must be empty")
        return identity

    def _binding(self, flag: str, name: str | None) -> bytes:
        """Return the binding that the client must prove (RFC 5802 6); empty without -PLUS."""
        bindings = self.channel.bindings
        if self.plus != (name is not None):
            raise GrammarError("clients that bind to the channel must use -PLUS, and only they may")
        if flag == "y" and bindings:
            raise GrammarError("the client was offered no -PLUS: an attacker has changed the offer")
        if name is not None and name not in bindings:
            raise GrammarError(f"the channel binding {name!r} is not available here")
        return bindings[name] if name is not None else b""

    async def _keys(self, username: str) -> tuple[bool, ScramKeys]:
        """Return whether the user exists, and keys in any case, in the same time."""
        decoy = self._decoy(username)
        keys = await ask(self.authenticator.scram_keys, username, self.hash_name)
        if keys is not None and keys.hash_name != self.hash_name:
            raise LocalProtocolError(
                f"the authenticator returned keys for {keys.hash_name}, not for {self.hash_name}"
            )
        return keys is not None, keys or decoy

    def _decoy(self, username: str) -> ScramKeys:
        """Return keys for a user who does not exist, always with the same salt, which a client
        cannot predict."""
        authenticator, hash_name = self.authenticator, self.hash_name
        if authenticator.decoy_key is None:
            # vars() bypasses the setter of a frozen class; setdefault is safe among threads.
            vars(authenticator).setdefault("decoy_key", Secret(self.channel.random(32)))
        assert authenticator.decoy_key is not None
        iterations, size = authenticator.decoy_shape(hash_name)
        key = authenticator.decoy_key.reveal()
        salt = hashlib.shake_256(key + f"{hash_name}:{username}".encode()).digest(size)
        return ScramKeys.of_salted(key, salt, iterations, hash_name)


def fresh_nonce(channel: Channel) -> str:
    """Return 18 random octets as printable text."""
    return _base64(channel.random(18))


def _after_end(message: str) -> NoReturn:
    raise GrammarError("a message after the end of SCRAM")


def _read(pattern: re.Pattern[str], message: str, name: str) -> tuple[str, ...]:
    match = pattern.fullmatch(message)
    if match is None:
        raise GrammarError(f"not a SCRAM {name} (RFC 5802 7)")
    return match.groups()


def _text(message: bytes) -> str:
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise GrammarError("a SCRAM message that is not UTF-8") from None


def _base64(octets: bytes) -> str:
    return encode_base64(octets).decode()


def _octets(base64: str) -> bytes:
    """Decode *base64*. Raises GrammarError if it is not the only encoding of its octets: a message
    that was changed on its way must not pass."""
    octets = decode_base64(base64.encode())
    if _base64(octets) != base64:
        raise GrammarError("base64 with padding bits that are not zero")
    return octets


def _escaped(name: str) -> str:
    """Prepare *name*, and escape "=" and "," (RFC 5802 5.1)."""
    return prepared(name).replace("=", "=3D").replace(",", "=2C")


def _unescaped(name: str) -> str:
    return prepared(name.replace("=2C", ",").replace("=3D", "="))
