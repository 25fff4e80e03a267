"""Hypothesis strategies: SPF records that fit the grammar."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from hypothesis import strategies as st

QUALIFIERS = st.sampled_from(["", "+", "-", "~", "?"])
LITERALS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="%"))


def macros(letters: str = "slodipvh") -> st.SearchStrategy[str]:
    letter = st.sampled_from(letters + letters.upper())
    digits = st.sampled_from(["", "1", "2", "128", "0099999999999999999999"])
    delimiters = st.text(".-+,/_=", max_size=3)
    expand = st.builds(
        "%{{{}{}{}{}}}".format, letter, digits, st.sampled_from(["", "r"]), delimiters
    )
    return expand | st.sampled_from(["%%", "%_", "%-"])


def domain_specs(names: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[str]:
    """A name, or macros and text before a macro or a label."""
    start = st.lists(macros() | LITERALS, max_size=3).map("".join)
    end = macros() | st.sampled_from([".org", ".x1", ".a-b", ".com."])
    return st.builds("{}{}".format, start, end) if names is None else names | macros()


def terms(domains: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[str]:
    """A directive, or a modifier other than redirect and exp."""
    domain = domain_specs() if domains is None else domains
    optional = st.just("") | domain.map(":{}".format)
    ip4_length = st.just("") | st.integers(0, 32).map("/{}".format)
    ip6_length = st.just("") | st.integers(0, 128).map("/{}".format)
    dual = st.builds("{}{}".format, ip4_length, ip6_length.map(lambda it: it and "/" + it))
    mechanism = st.one_of(
        st.just("all"),
        st.builds("{}:{}".format, st.sampled_from(["include", "exists"]), domain),
        st.builds("{}{}{}".format, st.sampled_from(["a", "mx", "A", "Mx"]), optional, dual),
        st.builds("ptr{}".format, optional),
        st.builds("ip4:{}{}".format, st.integers(0, 2**32 - 1).map(IPv4Address), ip4_length),
        st.builds("ip6:{}{}".format, st.integers(0, 2**128 - 1).map(IPv6Address), ip6_length),
    )
    modifier = st.builds("{}={}".format, st.sampled_from(["x", "a.b_c-1"]), macros("slodipvhcrt"))
    return st.builds("{}{}".format, QUALIFIERS, mechanism) | modifier


def records(domains: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[str]:
    domain = domain_specs() if domains is None else domains
    last = st.lists(
        st.builds("{}={}".format, st.sampled_from(["redirect", "exp"]), domain),
        unique_by=lambda it: it.partition("=")[0],
        max_size=2,
    )
    return st.builds(lambda a, b: " ".join(["v=spf1", *a, *b]), st.lists(terms(domain)), last)
