"""Table of label selectors, with which tests compare our implementation and the API server's."""

LABELS: tuple[dict[str, str], ...] = ({"team": "a", "tier": "x"}, {"team": "a"}, {})

# Selectors with the selected entries of LABELS.
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

# Selectors that Kubernetes refuses, with their invalid parts.
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
