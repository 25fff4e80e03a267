"""``smtpproto dkim-key``: make a key for DKIM, and print the record to publish."""

from __future__ import annotations

import argparse
import json
import os
from functools import partial
from pathlib import Path

from ..delivery import ExitStatus
from ..dns import txt_record
from ..policy import DKIM, Algorithm
from .command_errors import CommandError, writing
from .options import add_json_option, read_password
from .terminal import print_json

DESCRIPTION = """Write a new private key into a file that only you can read, and print the DNS
record with its public key, and what the file of smtpproto mta needs. A file that exists is never
overwritten."""

_ALGORITHMS = {it.key_type: it for it in Algorithm}
_NEXT = """The private key is in {file}. Keep it secret.

1. Publish this record. If your DNS provider asks for the text alone, join what is in quotes:

{record}

2. See whether it is there:

smtpproto doctor {domain} --selector {selector}

3. Then sign with it. For smtpproto mta --config FILE, add to FILE:

{table}"""
_BOTH = "\nNot all receivers know Ed25519: sign with an RSA key, too, with a selector of its own."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add("domain", metavar="DOMAIN", help="the domain that signs, as in ann@DOMAIN")
    help_ = "name of the key in the DNS, s= in a signature; a new one for each key"
    add("--selector", required=True, metavar="NAME", help=help_)
    help_ = "kind of the key; all receivers know rsa (default: %(default)s)"
    add("--algorithm", choices=_ALGORITHMS, default="rsa", help=help_)
    add("--file", metavar="FILE", help="where to write the private key (default: NAME.pem)")
    help_ = "encrypt the key with the password in the first line of this file"
    add("--password-file", metavar="FILE", help=help_)
    add_json_option(parser)
    parser.set_defaults(password_env=None)


def run(args: argparse.Namespace) -> int:
    """Make a key. Return 0."""
    try:
        from ..adapters.cryptography_keys import PrivateKey  # noqa: PLC0415 - it is an extra
    except ImportError as error:
        raise CommandError(str(error)) from None
    if (password := read_password(args)) == b"":
        text = f"the password is empty; check: --password-file {args.password_file}"
        raise CommandError(text, ExitStatus.DATAERR)
    key = PrivateKey.generate(_ALGORITHMS[args.algorithm])
    signer = DKIM(args.domain, selector=args.selector, key=key)
    file = args.file or f"{signer.selector}.pem"
    if os.path.lexists(file):
        text = f"{file} exists already; choose another with --file"
        raise CommandError(text, ExitStatus.CANTCREAT)
    private = partial(os.open, mode=0o600)
    with writing(file, "--file"), open(file, "xb", opener=private) as opened:
        opened.write(key.pem(password))
    record = txt_record(f"{signer.selector}._domainkey.{signer.domain}", key.record())
    if args.json:
        print_json(
            {
                "file": str(Path(file).resolve()),
                "domain": signer.domain,
                "selector": signer.selector,
                "algorithm": args.algorithm,
                "name": f"{signer.selector}._domainkey.{signer.domain}",
                "text": key.record(),
                "record": record,
            }
        )
        return 0
    table = _table(signer, file, args.password_file)
    names = {"domain": signer.domain, "selector": signer.selector}
    print(_NEXT.format(file=file, record=record, table=table, **names))
    if args.algorithm == "ed25519":
        print(_BOTH)
    return 0


def _table(signer: DKIM, file: str, password_file: str | None) -> str:
    """Return the table of a configuration file that signs with the key in *file*."""
    values = {
        "domain": signer.domain,
        "selector": signer.selector,
        "key": str(Path(file).resolve()),
    }
    if password_file is not None:
        values["password_file"] = str(Path(password_file).resolve())
    quoted = (f"{key} = {json.dumps(it, ensure_ascii=False)}" for key, it in values.items())
    return "\n".join(["[[sign]]", *quoted])
