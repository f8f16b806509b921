from execlave_server.cli.sparkline import sparkline


def test_the_least_is_low_and_the_greatest_is_high():
    """Bars from nothing to the greatest value; a blank where there is no value."""
    assert sparkline([0, None, 4, 8]) == "▁ ▅█"


def test_a_threshold_keeps_a_quiet_line_low():
    """The scale reaches to the threshold."""
    assert sparkline([0, 1, 0], threshold=100) == "▁▁▁"


def test_nothing_is_blank():
    """No value, no bar; only zeros, the lowest bars."""
    assert sparkline([None, None]) == "  "
    assert sparkline([0, 0]) == "▁▁"
