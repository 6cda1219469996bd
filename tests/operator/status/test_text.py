from market_operator.status.text import listed, message, shortened


def test_long_list_names_the_first_five() -> None:
    assert listed("abcde") == "a, b, c, d, e"
    assert listed("abcdefg") == "a, b, c, d, e and 2 more"


def test_long_text_is_cut() -> None:
    assert shortened("x" * 300) == "x" * 300
    assert (len(shortened("x" * 301)), shortened("x" * 301)[-3:]) == (300, "...")


def test_message_quotes_no_control_character() -> None:
    """The termination message of a container could steer the terminal of a user who reads the status."""
    assert message("exited: \x1b[2J\n\u202eok") == r"exited: \x1b[2J\n\u202eok"
    assert len(message("\n" * 5_000)) == 2_000
