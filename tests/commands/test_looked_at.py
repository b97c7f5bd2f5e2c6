"""The way from `status` to `diagnose` is always there, however many places there are to look at."""

from commands.kit.looked_at import with_diagnose


def test_diagnose_stands_where_the_buttons_that_follow_have_no_room() -> None:
    looks = [("Sync", "sync status"), ("Metrics", "metrics"), ("Database", "db connect")]
    assert [each.label for each in with_diagnose(looks, "staging")] == ["Sync", "Metrics", "Diagnose", "Database"]
    assert [each.label for each in with_diagnose(looks[:2], "staging")] == ["Sync", "Metrics"]
    once = with_diagnose([*looks, ("Diagnose", "diagnose")], "staging")
    assert [each.label for each in once].count("Diagnose") == 1
