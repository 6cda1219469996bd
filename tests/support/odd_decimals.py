"""Strings that no price or amount may have."""

NOT_DECIMAL = (
    "-", "-5", "+5", ".", ".5", "5.", "1.2.3", "1..2", "1,5", "1,000.5", "1_000", "1e5", "1E-8", "0x1F", "nan", "NaN", "inf",
    "Infinity", "-Infinity", "null", "y", " 7", "7 ", "7\n", "1 000", "\u0663", "\uff17", "1;2", "1:2", "[1]", "{1}", '1"2', "1\\2",
    "9" * 41, "1." + "0" * 41,
)  # fmt: skip
"""Beside these, "" is refused where a number is required, and null where it is not."""
