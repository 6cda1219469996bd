"""Label selectors and what they select: our reading of them and the API server's are held to the same table."""

LABELS: tuple[dict[str, str], ...] = ({"team": "a", "tier": "x"}, {"team": "a"}, {})

# A selector, and which of LABELS it selects.
SELECTED: tuple[tuple[str, tuple[bool, bool, bool]], ...] = (
    ("", (True, True, True)),
    ("team=a", (True, True, False)),
    ("team==a", (True, True, False)),
    (" team = a , tier=x ", (True, False, False)),
    ("team=b", (False, False, False)),
    ("tier=", (False, False, False)),
    ("team!=a", (False, False, True)),
    ("tier!=y", (True, True, True)),
    ("tier in (x,y)", (True, False, False)),
    ("tier in ( y , z )", (False, False, False)),
    ("tier notin (x,y)", (False, True, True)),
    ("tier notin (z),team in (a)", (True, True, False)),
    ("tier", (True, False, False)),
    ("!tier", (False, True, True)),
    ("! tier,team", (False, True, False)),
    ("example.com/team", (False, False, False)),
    ("!example.com/team,tier", (True, False, False)),
)

# What Kubernetes refuses, and the part that is wrong.
REFUSED: tuple[tuple[str, str], ...] = (
    ("team=a,", "''"),
    ("team in", "'team in'"),
    ("team in (a)b", "'team in (a)b'"),
    ("team=a b", "'team=a b'"),
    ("-team=a", "'-team=a'"),
    ("team=" + "a" * 64, "a" * 64),
    ("!team=a", "'!team=a'"),
    ("Upper/team=a", "'Upper/team=a'"),
    ("team in (a", "'team in (a'"),
)
