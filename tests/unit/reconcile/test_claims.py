"""Whose an agent is that several pools claim."""

from hypothesis import given
from hypothesis import strategies as st

from paddock_operator.reconcile.claims import Claim, Claims, Pool

DESK, SALES = ("n", "default", "desk"), ("n", "default", "sales")


def test_the_older_one_has_it_and_after_that_the_name_decides() -> None:
    claims = Claims()
    claims.claim(("n", "b"), Claim(DESK, "2027-01-15T08:00:00Z"))
    assert claims.rival(("n", "b")) is None
    claims.claim(("n", "c"), Claim(DESK, "2027-01-15T07:59:59Z"))
    assert claims.rival(("n", "b")) == ("n", "c")
    claims.claim(("n", "a"), Claim(DESK, "2027-01-15T07:59:59Z"))
    assert claims.rival(("n", "c")) == ("n", "a")
    assert claims.rival(("n", "a")) is None


def test_who_goes_or_changes_its_mind_is_news_for_the_others_only() -> None:
    claims = Claims()
    assert claims.claim(("n", "a"), Claim(DESK, "1")) == set()
    assert claims.claim(("n", "b"), Claim(DESK, "2")) == {("n", "a")}
    assert claims.claim(("n", "b"), Claim(DESK, "2")) == set()
    assert claims.claim(("n", "a"), Claim(SALES, "1")) == {("n", "b")}
    assert claims.claim(("n", "c"), Claim(SALES, "3")) == {("n", "a")}
    assert claims.release(("n", "a")) == {("n", "c")}
    assert claims.release(("n", "a")) == set()


_pools = st.tuples(st.just("n"), st.sampled_from("abcd"))
_claim = st.builds(Claim, st.sampled_from([DESK, SALES]), st.sampled_from("123"))


@given(st.lists(st.tuples(_pools, st.none() | _claim), max_size=30))
def test_each_agent_that_is_claimed_has_one_pool_which_all_others_name(
    changes: list[tuple[Pool, Claim | None]],
) -> None:
    claims, now = Claims(), dict[Pool, Claim]()
    for pool, claim in changes:
        if claim is None:
            now.pop(pool, None)
            claims.release(pool)
        else:
            now[pool] = claim
            claims.claim(pool, claim)
    for agent in (DESK, SALES):
        its = {pool for pool, claim in now.items() if claim.agent == agent}
        free = {pool for pool in its if claims.rival(pool) is None}
        assert len(free) == min(1, len(its))
        assert {claims.rival(pool) for pool in its - free} <= free
