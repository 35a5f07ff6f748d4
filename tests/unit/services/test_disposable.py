import pytest

from services.disposable import DisposableDomains


@pytest.mark.parametrize(
    ("email", "domain"),
    [
        ("ada@mailinator.com", "mailinator.com"),
        ("ada@deep.below.mailinator.com", "mailinator.com"),
        ("ada@example.org", None),
        ("ada@notmailinator.com", None),
        ("ada@com", None),
    ],
)
def test_a_disposable_domain_is_known_with_all_below_it(email: str, domain: str | None) -> None:
    assert DisposableDomains({"mailinator.com", "com"}).domain_of(email) == domain


def test_the_list_that_is_shipped_has_the_well_known_ones() -> None:
    shipped = DisposableDomains.shipped()
    assert shipped.domain_of("ada@mailinator.com") == "mailinator.com"
    for own in ("gmail.com", "example.org", "posteo.de", "proton.me", "outlook.com"):
        assert shipped.domain_of(f"ada@{own}") is None
