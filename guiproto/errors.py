"""The two error families that may leave any room of this project; anything else that escapes is a bug."""


class PeerMisbehaved(Exception):  # noqa: N818 - the name is the sentence a log line reads
    """The other domain broke a rule of the protocol, or of page sharing.

    `rule` names the rule in protocol.md's words and `detail` what was seen. It ends that domain's session and
    nothing else. The text never repeats bytes that the peer chose, only numbers, so it is safe in a log.
    """

    def __init__(self, rule: str, detail: str = "") -> None:
        self.rule = rule
        self.detail = detail
        super().__init__(f"{rule}: {detail}" if detail else rule)


class MachineCannot(Exception):  # noqa: N818 - see above
    """This machine lacks something: `what` is missing, and `remedy` says what the user can do about it."""

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what} ({remedy})" if remedy else what)
