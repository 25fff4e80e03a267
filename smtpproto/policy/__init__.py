"""Ring 3: who wrote a message, and how it may travel, as values and functions.

What must ask the DNS is ``async def`` over a :class:`smtpproto.dns.Resolver`. It runs with blocking
sockets, on asyncio, on trio and in a simulation, and needs neither our server nor our client. Times
are seconds since the epoch, UTC, and come in as arguments.
"""

from typing import TYPE_CHECKING

from ..late_names import late_names

if TYPE_CHECKING:
    from .aggregate_report import (
        AggregateReport,
        AggregateRow,
        PolicyOverride,
        ReportedDKIM,
        ReportedSPF,
    )
    from .aggregate_writing import AggregateCounts, report_mail, write_report
    from .arc import ARCCheck, ARCResult, ARCSet, ARCVerifier
    from .arc_seal import ARCSealer, Sealing
    from .authentication_results import (
        AuthenticationResults,
        MethodResult,
        Property,
        strip_results,
    )
    from .canonical import Canonicalization
    from .dane import Certificates, DANEFinding, DANEJudge, DANEStatus, find_dane
    from .dkim_check import DKIMCheck, DKIMLimits, DKIMResult
    from .dkim_key import DKIMKey
    from .dkim_sign import DKIM, DKIMSigner, Signing
    from .dkim_signature import DKIMSignature
    from .dkim_verify import DKIMVerifier, verify_dkim
    from .dmarc import AuthenticatedDomain, DMARCCheck, DMARCResult, author_domains, check_dmarc
    from .dmarc_record import DMARCPolicy, DMARCRecord
    from .dmarc_walk import DMARCStep
    from .dnsbl import DNSList, DNSLists, Listing
    from .feedback_report import FeedbackReport
    from .fetch import Fetch, Fetched, Post
    from .greylist import Greylist, Triplet
    from .keys import Algorithm, Keys, PublicKey, SigningKey
    from .message_check import Inspection, MessageCheck, MessageVerifier
    from .mta_sts import MTASTSMode, MTASTSPolicy, parse_sts_record
    from .mta_sts_cache import MTASTSCache, MTASTSFinding, MTASTSTrouble
    from .mta_sts_store import KeptPolicy, MTASTSStore
    from .rate import Demand, Grant, Limit, Rate, Release, Renewal
    from .received_spf import ReceivedSPF
    from .report_address import ReportDestination, report_destinations
    from .spf import SPFCheck, SPFRequest, check_helo, check_spf
    from .spf_examination import SPFExamination, SPFFault, SPFFaultKind, examine_spf
    from .spf_record import SPFResult
    from .spf_trace import Lookup, SPFTermTrace, SPFTrace
    from .state_store import Change, MemoryStates, Record, State, StateStore
    from .tls_policy import TLSDemand, TLSFacts, TLSLevel, TLSSource, tls_demand
    from .tls_report import (
        ReportedPolicy,
        TLSFailure,
        TLSPolicyResult,
        TLSPolicyType,
        TLSReport,
        TLSResultType,
        tls_report_uris,
    )
    from .tls_report_collector import TLSResults
    from .tls_report_json import read_tls_report, write_tls_report
    from .tls_report_message import tls_report_mail
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            ".aggregate_report": (
                "AggregateReport AggregateRow PolicyOverride ReportedDKIM ReportedSPF"
            ),
            ".aggregate_writing": ("AggregateCounts report_mail write_report"),
            ".feedback_report": ("FeedbackReport"),
            ".report_address": ("ReportDestination report_destinations"),
            ".authentication_results": (
                "AuthenticationResults MethodResult Property strip_results"
            ),
            ".arc": "ARCCheck ARCResult ARCSet ARCVerifier",
            ".arc_seal": "ARCSealer Sealing",
            ".canonical": "Canonicalization",
            ".dane": "Certificates DANEFinding DANEJudge DANEStatus find_dane",
            ".dkim_key": "DKIMKey",
            ".dkim_check": "DKIMLimits DKIMCheck DKIMResult",
            ".dkim_sign": "DKIM DKIMSigner Signing",
            ".dkim_signature": "DKIMSignature",
            ".dkim_verify": "DKIMVerifier verify_dkim",
            ".dmarc": "AuthenticatedDomain DMARCCheck DMARCResult author_domains check_dmarc",
            ".dmarc_record": "DMARCPolicy DMARCRecord",
            ".dmarc_walk": "DMARCStep",
            ".fetch": "Fetch Fetched Post",
            ".dnsbl": "DNSList DNSLists Listing",
            ".greylist": "Greylist Triplet",
            ".keys": "Algorithm Keys PublicKey SigningKey",
            ".message_check": "Inspection MessageCheck MessageVerifier",
            ".mta_sts": "MTASTSMode MTASTSPolicy parse_sts_record",
            ".mta_sts_cache": "MTASTSCache MTASTSFinding MTASTSTrouble",
            ".mta_sts_store": "KeptPolicy MTASTSStore",
            ".rate": "Demand Grant Limit Rate Release Renewal",
            ".received_spf": "ReceivedSPF",
            ".spf": "SPFCheck SPFRequest check_helo check_spf",
            ".spf_examination": "SPFExamination SPFFault SPFFaultKind examine_spf",
            ".spf_record": "SPFResult",
            ".spf_trace": "Lookup SPFTermTrace SPFTrace",
            ".state_store": "Change MemoryStates Record State StateStore",
            ".tls_report": (
                "ReportedPolicy TLSFailure TLSPolicyResult TLSPolicyType TLSReport TLSResultType "
                "tls_report_uris"
            ),
            ".tls_report_collector": "TLSResults",
            ".tls_report_json": "read_tls_report write_tls_report",
            ".tls_report_message": "tls_report_mail",
            ".tls_policy": "TLSDemand TLSFacts TLSLevel TLSSource tls_demand",
        },
    )

__all__ = [
    "DKIM",
    "ARCCheck",
    "ARCResult",
    "ARCSealer",
    "ARCSet",
    "ARCVerifier",
    "AggregateCounts",
    "AggregateReport",
    "AggregateRow",
    "Algorithm",
    "AuthenticatedDomain",
    "AuthenticationResults",
    "Canonicalization",
    "Certificates",
    "Change",
    "DANEFinding",
    "DANEJudge",
    "DANEStatus",
    "DKIMCheck",
    "DKIMKey",
    "DKIMLimits",
    "DKIMResult",
    "DKIMSignature",
    "DKIMSigner",
    "DKIMVerifier",
    "DMARCCheck",
    "DMARCPolicy",
    "DMARCRecord",
    "DMARCResult",
    "DMARCStep",
    "DNSList",
    "DNSLists",
    "Demand",
    "FeedbackReport",
    "Fetch",
    "Fetched",
    "Grant",
    "Greylist",
    "Inspection",
    "KeptPolicy",
    "Keys",
    "Limit",
    "Listing",
    "Lookup",
    "MTASTSCache",
    "MTASTSFinding",
    "MTASTSMode",
    "MTASTSPolicy",
    "MTASTSStore",
    "MTASTSTrouble",
    "MemoryStates",
    "MessageCheck",
    "MessageVerifier",
    "MethodResult",
    "PolicyOverride",
    "Post",
    "Property",
    "PublicKey",
    "Rate",
    "ReceivedSPF",
    "Record",
    "Release",
    "Renewal",
    "ReportDestination",
    "ReportedDKIM",
    "ReportedPolicy",
    "ReportedSPF",
    "SPFCheck",
    "SPFExamination",
    "SPFFault",
    "SPFFaultKind",
    "SPFRequest",
    "SPFResult",
    "SPFTermTrace",
    "SPFTrace",
    "Sealing",
    "Signing",
    "SigningKey",
    "State",
    "StateStore",
    "TLSDemand",
    "TLSFacts",
    "TLSFailure",
    "TLSLevel",
    "TLSPolicyResult",
    "TLSPolicyType",
    "TLSReport",
    "TLSResultType",
    "TLSResults",
    "TLSSource",
    "Triplet",
    "author_domains",
    "check_dmarc",
    "check_helo",
    "check_spf",
    "examine_spf",
    "find_dane",
    "parse_sts_record",
    "read_tls_report",
    "report_destinations",
    "report_mail",
    "strip_results",
    "tls_demand",
    "tls_report_mail",
    "tls_report_uris",
    "verify_dkim",
    "write_report",
    "write_tls_report",
]  # fmt: skip
