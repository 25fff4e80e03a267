"""SCRAM (RFC 5802, RFC 7677): both sides prove that they know the password, and neither says it.

With ``-PLUS`` the proofs hold for this TLS connection only: who sits between cannot pass them on.
"""

from __future__ import annotations

import functools
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import NoReturn

from attrs import define, field, frozen

from ..errors import GrammarError, LocalProtocolError, RemoteProtocolError
from ..grammar.printable import printable
from ..grammar.secret import Secret
from ..grammar.xtext import decode_base64, encode_base64
from ..ports import result
from .authenticator import Authenticator, admit
from .credentials import Login
from .exchange import Channel, Denied, Identity
from .prepare import prepared, prepared_text
from .scram_keys import ScramKeys, client_key, salted_password

# RFC 5802 7. Extensions are of letters that have no meaning yet: so m= never matches.
_EXTENSIONS = r"(?:,[A-Zbdfghj-loqtuw-z]=[^\0,]+)*"
_VALUE = r"[^\0,]+"
_NAME = r"(?:[^\0,=]|=2C|=3D)+"
_NONCE = r"[!-+\--~]+"
_CLIENT_FIRST = re.compile(
    rf"((n|y|p=([A-Za-z0-9.-]+)),(?:a=({_NAME}))?,)(n=({_NAME}),r=({_NONCE}){_EXTENSIONS})"
)
_SERVER_FIRST = re.compile(rf"r=({_NONCE}),s=({_VALUE}),i=([1-9][0-9]{{0,9}}){_EXTENSIONS}")
_CLIENT_FINAL = re.compile(rf"(c=({_VALUE}),r=({_NONCE}){_EXTENSIONS}),p=({_VALUE})")
_SERVER_FINAL = re.compile(rf"v=({_VALUE}){_EXTENSIONS}")
_SERVER_ERROR = re.compile(rf"e=({_VALUE}){_EXTENSIONS}")


@define(eq=False)
class ScramClient:
    """The client's side. Raises GrammarError for a name or a password that SASLprep prohibits or
    leaves nothing of, and for *plus* on a channel without bindings."""

    login: Login
    channel: Channel
    hash_name: str
    plus: bool = False
    details: Mapping[str, str] = field(default=MappingProxyType({}), init=False)
    """``scram-error`` is what the server gave as its reason (``e=``)."""
    _password: Secret = field(init=False)
    _nonce: str = field(init=False, repr=False)
    _header: str = field(init=False, repr=False)
    _bare: str = field(init=False, repr=False)
    _take: Callable[[str], str] = field(init=False, repr=False)
    _asked: bool = field(default=False, init=False)
    _proved: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        login = self.login
        self._password = Secret(prepared(login.password.reveal()))
        authzid = f"a={_escaped(login.authzid)}" if login.authzid else ""
        self._header = f"{self._flag()},{authzid},"
        self._nonce = fresh_nonce(self.channel)
        self._bare = f"n={_escaped(login.username)},r={self._nonce}"
        self._take = self._server_first

    def _flag(self) -> str:
        """What to say of channel binding (RFC 5802 6)."""
        bindings = self.channel.bindings
        if self.plus and not bindings:
            raise GrammarError("nothing of this channel to bind to")
        if self.plus:
            return f"p={next(iter(bindings))}"
        return "y" if bindings and not self.channel.peer_binds else "n"

    def initial(self) -> Secret:
        """The client-first-message."""
        return Secret(self._header + self._bare)

    def step(self, challenge: bytes) -> Secret:
        """Prove that the password is known; then see whether the server proves the same."""
        take, self._take = self._take, _over
        try:
            return Secret(take(_text(challenge)))
        except GrammarError as error:
            raise RemoteProtocolError(error.message) from None

    def finish(self) -> None:
        """Only a server that has proved itself may say yes (RFC 5802 5)."""
        if not self._proved:
            raise RemoteProtocolError("the server said yes, and did not prove who it is")

    def _server_first(self, message: str) -> str:
        if not message and not self._asked:  # AUTH had no room for the first message
            self._asked, self._take = True, self._server_first
            return self._header + self._bare
        if self._refused(message):
            return ""
        nonce, salt, iterations = _read(_SERVER_FIRST, message, "server-first-message")
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise GrammarError("the server's nonce does not go on with ours")
        without_proof = f"c={_base64(self._bound)},r={nonce}"
        signed = f"{self._bare},{message},{without_proof}".encode()
        proof, signature = self._sign(signed, _octets(salt), int(iterations))
        self._take = functools.partial(self._server_final, signature)
        return f"{without_proof},p={_base64(proof)}"

    def _server_final(self, signature: bytes, message: str) -> str:
        if not self._refused(message):
            (said,) = _read(_SERVER_FINAL, message, "server-final-message")
            self._proved = hmac.compare_digest(_octets(said), signature)
            if not self._proved:
                raise GrammarError("the server does not know the password: its proof is wrong")
        return ""

    def _refused(self, message: str) -> bool:
        """Whether the server says no; nothing is left then but to hear the reply."""
        if error := _SERVER_ERROR.fullmatch(message):
            self.details = {"scram-error": printable(error[1])}
        return error is not None

    @property
    def _bound(self) -> bytes:
        """The GS2 header and, if bound, the octets of the binding."""
        binding = next(iter(self.channel.bindings.values())) if self.plus else b""
        return self._header.encode() + binding

    def _sign(self, signed: bytes, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
        """ClientProof, and the ServerSignature to expect. Raises GrammarError for iterations that
        are too few or too many."""
        salted = salted_password(self._password, salt, iterations, self.hash_name)
        keys = ScramKeys.of_salted(salted, salt, iterations, self.hash_name)
        return keys.masked(client_key(salted, self.hash_name), signed), keys.signature(signed)


@frozen(kw_only=True)
class _Opening:
    """What a server knows behind its first message."""

    username: str
    authzid: str
    known: bool
    keys: ScramKeys
    bound: bytes
    nonce: str
    messages: str


_Step = bytes | Identity | Denied


@define(eq=False)
class ScramServer:
    """The server's side. Users who do not exist have a salt too, always the same, and fail at the
    proof like those whose password is wrong."""

    authenticator: Authenticator = field(repr=False)
    channel: Channel
    hash_name: str
    plus: bool = False
    _take: Callable[[str], Awaitable[_Step]] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._take = self._client_first

    async def step(self, response: Secret | None) -> _Step:
        """Ask the authenticator for keys, check the proof, and prove to have had them. Raises
        GrammarError for what is no message of SCRAM, or does not fit the one before or the
        channel; LocalProtocolError if the authenticator gives keys of another hash."""
        if response is None:
            return b""
        take, self._take = self._take, _over
        return await take(_text(response.reveal()))

    async def _client_first(self, message: str) -> bytes:
        read = _read(_CLIENT_FIRST, message, "client-first-message")
        header, flag, binding, authzid, bare, username, nonce = read
        bound = header.encode() + self._binding(flag, binding)
        username, authzid = _unescaped(username), _unescaped(authzid) if authzid else ""
        known, keys = await self._keys(username)
        nonce += fresh_nonce(self.channel)
        said = f"r={nonce},s={_base64(keys.salt)},i={keys.iterations}"
        opening = _Opening(
            username=username,
            authzid=authzid,
            known=known,
            keys=keys,
            bound=bound,
            nonce=nonce,
            messages=f"{bare},{said}",
        )
        self._take = functools.partial(self._client_final, opening)
        return said.encode()

    async def _client_final(self, opening: _Opening, message: str) -> bytes | Denied:
        read = _read(_CLIENT_FINAL, message, "client-final-message")
        without_proof, bound, nonce, proof = read
        if nonce != opening.nonce:
            raise GrammarError("not the nonce of this exchange")
        if bound != _base64(opening.bound):
            raise GrammarError("not bound to this channel, or not the header as it was said")
        signed = f"{opening.messages},{without_proof}".encode()
        proved = opening.keys.proved(_octets(proof), signed)
        if not (proved and opening.known):
            return Denied(f"wrong user name or password: {opening.username!r}")
        return await self._admit(opening, opening.keys.signature(signed))

    async def _admit(self, opening: _Opening, signature: bytes) -> bytes | Denied:
        name = f"SCRAM-{self.hash_name}{'-PLUS' if self.plus else ''}"
        end = await admit(self.authenticator, name, opening.username, opening.authzid)
        if isinstance(end, Denied):
            return end
        self._take = functools.partial(self._acknowledged, end)
        return f"v={_base64(signature)}".encode()

    async def _acknowledged(self, identity: Identity, message: str) -> Identity:
        """SMTP cannot carry the last message with its yes: an empty response comes between."""
        if message:
            raise GrammarError("a response to the last message of SCRAM that is not empty")
        return identity

    def _binding(self, flag: str, name: str | None) -> bytes:
        """What the client is to be bound to (RFC 5802 6)."""
        bindings = self.channel.bindings
        if self.plus != (name is not None):
            raise GrammarError("-PLUS is for clients that bind to the channel, and for no others")
        if flag == "y" and bindings:
            raise GrammarError("the client did not see -PLUS: somebody has changed the offer")
        if name is not None and name not in bindings:
            raise GrammarError(f"channel binding {name!r} is not to be had here")
        return bindings[name] if name is not None else b""

    async def _keys(self, username: str) -> tuple[bool, ScramKeys]:
        """Whether there is such a user, and keys in any case, which take as long to find."""
        decoy = _decoy(self.authenticator, self.channel, username, self.hash_name)
        keys = await result(self.authenticator.scram_keys(username, self.hash_name))
        if keys is not None and keys.hash_name != self.hash_name:
            raise LocalProtocolError(
                f"the authenticator gave keys that are not of {self.hash_name}"
            )
        return keys is not None, keys or decoy


def fresh_nonce(channel: Channel) -> str:
    """18 random octets as printable text."""
    return _base64(channel.random(18))


def _decoy(
    authenticator: Authenticator, channel: Channel, username: str, hash_name: str
) -> ScramKeys:
    """Keys that nobody has: the same salt for the same name, which nobody can foretell."""
    if (
        authenticator.decoy_key is None
    ):  # past the setter of a frozen class, and once for all threads
        vars(authenticator).setdefault("decoy_key", Secret(channel.random(32)))
    assert authenticator.decoy_key is not None
    iterations, size = authenticator.decoy_shape(hash_name)
    made_of = f"{hash_name}:{username}".encode()
    key = authenticator.decoy_key.reveal()
    salt = hmac.digest(key, made_of, "sha512")[:size]
    return ScramKeys.of_salted(key, salt, iterations, hash_name)


def _over(message: str) -> NoReturn:
    raise GrammarError("a message behind the end of SCRAM")


def _read(pattern: re.Pattern[str], message: str, name: str) -> tuple[str, ...]:
    match = pattern.fullmatch(message)
    if match is None:
        raise GrammarError(f"not a {name} of SCRAM (RFC 5802 7)")
    return match.groups()


def _text(message: bytes) -> str:
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise GrammarError("a message of SCRAM that is not UTF-8") from None


def _base64(octets: bytes) -> str:
    return encode_base64(octets).decode()


def _octets(base64: str) -> bytes:
    """Raises GrammarError for what is not base64, or not the one text that these octets have: no
    message is to be changed and pass."""
    octets = decode_base64(base64.encode())
    if _base64(octets) != base64:
        raise GrammarError("base64 that is padded with something")
    return octets


def _escaped(name: str) -> str:
    """A name as SASLprep prepares it, and without a comma."""
    return prepared_text(name).replace("=", "=3D").replace(",", "=2C")


def _unescaped(name: str) -> str:
    return prepared_text(name.replace("=2C", ",").replace("=3D", "="))
