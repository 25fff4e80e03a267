"""A simulated internet with a domain whose mail is in order, in which faults can be planted."""

from __future__ import annotations

from hashlib import sha256
from ipaddress import ip_address

import trustme
from attrs import define, field

from smtpproto import Handler, RcptParameters, Reply, ServerConfig, Session, TLSVerify
from smtpproto.adapters.cryptography_certificates import CryptographyCertificates
from smtpproto.adapters.cryptography_keys import CryptographyKeys, PrivateKey
from smtpproto.dns import MX, TLSA, Kind, Record, Resolver
from smtpproto.doctor import DoctorOptions, Examination, examine_domain
from smtpproto.grammar.address import ForwardPath
from smtpproto.policy import Algorithm, Fetched, MTASTSMode, MTASTSPolicy
from smtpproto.ports import Runtime
from smtpproto.testing import Simulation
from smtpproto.testing.zone import Zone
from tests.support.certificates import CA, der, server_context

DOMAIN = "example.org"
HOSTS = {"mx1.example.org": "198.51.100.1", "mx2.example.org": "2001:db8::2"}
SELECTOR = "s1"
SIGNING_KEY = PrivateKey.generate(Algorithm.RSA_SHA256)
LEAVES = {name: CA.issue_cert(name) for name in HOSTS}


def tlsa(leaf: trustme.LeafCert) -> TLSA:
    """Return the record 3 1 1 of a certificate."""
    key = CryptographyCertificates().public_key(der(leaf))
    return TLSA(3, 1, 1, sha256(key).digest())


class Mailboxes(Handler):
    """Accepts recipients, but for those whose local-part is among *unknown*."""

    def __init__(self, unknown: tuple[str, ...] = (), greeting: Reply | None = None) -> None:
        self.unknown = unknown
        self.greeting = greeting
        self.messages = 0

    def connect(self, session: Session) -> Reply | None:
        return self.greeting

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        if recipient.local_part in self.unknown:
            return Reply(550, "5.1.1", "No such user")
        return None

    def message(self, session: Session, envelope: object, body: bytes) -> None:
        self.messages += 1


_POLICY = MTASTSPolicy(mode=MTASTSMode.ENFORCE, mx=(*HOSTS,), max_age=604800)


@define
class Web:
    """A web server with the policy of MTA-STS."""

    policy: MTASTSPolicy
    status: int = 200
    asked: list[str] = field(factory=list)

    async def get(self, host: str, path: str, runtime: Runtime) -> Fetched:
        self.asked.append(f"https://{host}{path}")
        return Fetched(status=self.status, media_type="text/plain", body=bytes(self.policy))


@define
class World:
    """The domain, its hosts, and all that is known of them."""

    net: Simulation = field(factory=lambda: Simulation(7))
    zone: Zone = field(init=False)
    mailboxes: Mailboxes = field(factory=Mailboxes)
    web: Web = field(factory=lambda: Web(_POLICY))
    options: DoctorOptions = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.zone = Zone({}, self.net, authentic=True)
        self.publish(DOMAIN, Kind.MX, MX(10, "mx1.example.org"), MX(20, "mx2.example.org"))
        self.publish(DOMAIN, Kind.TXT, b"v=spf1 mx -all")
        self.publish(f"{SELECTOR}._domainkey.{DOMAIN}", Kind.TXT, SIGNING_KEY.record().encode())
        self.publish(f"_dmarc.{DOMAIN}", Kind.TXT, b"v=DMARC1; p=reject; rua=mailto:d@example.org")
        self.publish(f"_mta-sts.{DOMAIN}", Kind.TXT, b"v=STSv1; id=1")
        report = b"v=TLSRPTv1; rua=mailto:tls@example.org"
        self.publish(f"_smtp._tls.{DOMAIN}", Kind.TXT, report)
        for name, address in HOSTS.items():
            self.publish(name, Kind.A if ip_address(address).version == 4 else Kind.AAAA, address)
            self.publish(ip_address(address).reverse_pointer, Kind.PTR, name)
            self.publish(f"_25._tcp.{name}", Kind.TLSA, tlsa(LEAVES[name]))
            self.serve(name)
        self.options = DoctorOptions(
            selectors=(SELECTOR,),
            senders=(HOSTS["mx1.example.org"],),
            verify=TLSVerify.by_ca(CA.cert_pem.bytes()),
            keys=CryptographyKeys(),
            fetch=self.web,
            certificates=CryptographyCertificates(),
        )

    def alias(self, name: str, target: str) -> None:
        """Make a name an alias of another one."""
        self.zone.records[name] = target

    def publish(self, name: str, kind: Kind, *records: Record) -> None:
        """Set the records of one type at a name; none removes them."""
        found = self.zone.records.get(name, {})
        kept = {} if isinstance(found, str) else dict(found)
        self.zone.records[name] = {**kept, kind: records} if records else kept
        if not records:
            kept.pop(kind, None)
            if not kept:
                del self.zone.records[name]

    def serve(self, name: str, leaf: trustme.LeafCert | None = None, *, tls: bool = True) -> None:
        """Let a host take mail on its port 25, with TLS by *leaf*."""
        context = server_context(leaf or LEAVES[name]) if tls else None
        config = ServerConfig(hostname=name, context=context)
        self.net.host(HOSTS[name]).listen(25, lambda: self.mailboxes, config)

    def examine(self, resolver: Resolver | None = None, domain: str = DOMAIN) -> Examination:
        """Let the doctor examine a domain."""
        found: list[Examination] = []

        async def scene() -> None:
            asked = resolver or self.zone
            found.append(await examine_domain(domain, asked, self.net, self.options))

        self.net.run(scene())
        return found[0]
