"""The endless stream of transactions of a population, with the truth about each."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count as counter
from itertools import islice
from typing import Any, TypeAlias

import msgspec
import numpy as np

from include.generators.pace import MAX_TURN
from include.generators.population import CHANNELS, Population, User
from include.generators.records import decode, iso_of, quoted
from include.generators.rhythm import SALES_FACTOR, Rhythm, is_sales_day
from include.generators.scenarios import LEAST_CENTS, SCENARIOS, strange_merchant
from include.generators.thefts import CARD_SHARE, MERCHANT_SHARE, THIEFS_SHARE, Theft, Thefts
from include.generators.whereabouts import HOUR_MS, stay_of

MAX_FRAUD_SHARE = 0.5

# Honest people, too, do what looks like fraud. Shares of the transactions at a merchant of high risk, of very dear ones
# online, and of big purchases, of which each user makes but one in a run.
_AT_RISKY_MERCHANT, _DEAR_ONLINE, _BIG_PURCHASE = 0.001, 0.0005, 0.0005

# A genuine transaction's lot is odd from here on.
_DEAR_FROM = 1 - _DEAR_ONLINE
_RISKY_FROM = _DEAR_FROM - _AT_RISKY_MERCHANT
_ODD_FROM = _RISKY_FROM - _BIG_PURCHASE

# Random numbers are drawn for so many transactions at once.
_DRAWN_AT_ONCE = 4096

# Formats with a width cost more than the rest of a transaction's text.
_HUNDREDTHS = [f"{number:02d}" for number in range(100)]

_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)

KeyAndValue: TypeAlias = tuple[bytes, bytes]

_Drafted: TypeAlias = tuple[int, User, int, str, str, str, str | None, str | None]
"""When it happened (milliseconds since 1970), user, cents, merchant, channel, location, scenario and case.

A ``Draft`` for each would take as long as all of its JSON.
"""

_Row: TypeAlias = tuple[int, float, int, int, float]
"""What is drawn for a transaction: its user, its kind, usual cents, usual channel, and which merchant.

User and channel are indices; kind and merchant are lots from 0 to 1.
"""

_Stay: TypeAlias = tuple[int, str | None, str | None, Sequence[str] | None]
"""A ``Stay``, and the shops of the place, which are None at home."""


class Transaction(msgspec.Struct, frozen=True):
    """A transaction and its label as they are sent; ``scenario`` names the fraud, None for a genuine transaction."""

    sent: KeyAndValue
    label_sent: KeyAndValue
    scenario: str | None

    @property
    def record(self) -> dict[str, Any]:
        """The transaction's fields."""
        return decode(self.sent[1])

    @property
    def label(self) -> dict[str, Any]:
        """The label: ``txn_id``, ``scenario`` (null for a genuine one), ``is_fraud`` and ``timestamp``.

        A genuine one that is likely to be taken for fraud has its ``case`` as well: traveller, shared_card, sales_day
        or first_big_purchase.
        """
        return decode(self.label_sent[1])


def now() -> datetime:
    """The wall clock, UTC."""
    return datetime.now(UTC)


class TransactionSource:
    """Makes transactions without end; the same arguments and clock give the same ones.

    Ids are ``T<run_id>-<number>``: unique for ever as long as no two runs share a ``run_id``. ``fraud_share`` is the
    share of frauds among all transactions, on average over weeks. Only active users pay.

    Raises:
        ValueError: ``fraud_share`` is not within 0 and ``MAX_FRAUD_SHARE``.
    """

    def __init__(
        self,
        population: Population,
        *,
        run_id: str,
        fraud_share: float,
        clock: Callable[[], datetime] = now,
    ) -> None:
        if not 0 <= fraud_share <= MAX_FRAUD_SHARE:
            raise ValueError(f"fraud_share must be within 0 and {MAX_FRAUD_SHARE}, not {fraud_share}")
        self._population = population
        self._run_id = run_id
        self._clock = clock
        self._numbers = 0
        self._rng = population.random_for(f"transactions/{run_id}")
        self._lots = np.random.default_rng(self._rng.getrandbits(64))
        self._users = [user for user in population.users if user.status == "active"]
        self._favourites = [
            [population.merchants[index].merchant_id for index in user.habits.merchants] for user in self._users
        ]
        self._case_share, cards, copies = _shares(fraud_share)
        self._thefts = Thefts(population, self._users, cards, copies)
        # Each is asked for when its user pays next. The first user never travels: somebody must be there to pay.
        self._stays: list[_Stay] = [(0, None, None, None)] * len(self._users)
        self._stays[0] = (2**63, self._users[0].city.city, None, None)
        self._owed = 0
        self._bought_big: set[int] = set()
        self._later: list[tuple[int, int, _Drafted]] = []
        self._queued = counter()
        habits = [user.habits for user in self._users]
        self._medians, self._sigmas = np.array([[one.median_cents, one.sigma] for one in habits]).T
        self._channels = np.cumsum([one.channels for one in habits], axis=1)
        self._rows = self._drawn(np.array([one.activity for one in habits]), _DRAWN_AT_ONCE)
        self._live = True
        self._moment = self._hour_ends = 0
        self._drafts: Iterator[_Drafted] = iter(())

    def take(self, count: int) -> list[Transaction]:
        """The next ``count`` transactions, all made at this moment."""
        self._moment = _milliseconds(self._clock())
        if self._moment >= self._hour_ends:
            self._begin_hour(self._moment, self._rows)
        return self._made(islice(self._drafts, count))

    def past(self, since: datetime, until: datetime, rate: float) -> Iterator[list[Transaction]]:
        """The transactions from ``since`` to before ``until`` (UTC), in the order of their times, a turn at a time.

        ``rate`` is in transactions per second, on average: they follow the hours of the users' days, and there are more
        on sales days.
        """
        begin, end = _milliseconds(since), _milliseconds(until)
        total = round(rate * (end - begin) / 1000)
        self._live = False
        for opens, closes, count, weights in Rhythm(self._population, self._users).hours(begin, end, total):
            # A few more than are needed: who is on the way pays nothing.
            self._begin_hour(opens, self._drawn(weights, min(count + count // 8 + 16, _DRAWN_AT_ONCE)))
            moments = np.sort(self._lots.integers(opens, closes, count)).tolist()
            for first in range(0, count, MAX_TURN):
                yield self._made(self._at_each(moments[first : first + MAX_TURN]))
        self._live, self._hour_ends = True, 0

    def new_id(self) -> str:
        """An id that no other transaction of this run has."""
        self._numbers += 1
        return f"T{self._run_id}-{str(self._numbers).zfill(8)}"

    def _at_each(self, moments: list[int]) -> Iterator[_Drafted]:
        for moment in moments:
            self._moment = moment
            yield next(self._drafts)

    def _made(self, drafts: Iterable[_Drafted]) -> list[Transaction]:
        made = []
        shown, with_zone = -1, ""
        for happened, user, cents, merchant_id, channel, location, scenario, case in drafts:
            if happened != shown:
                shown, with_zone = happened, iso_of(happened)
            # Cash machines are the older systems: their times have no fractions and no zone.
            timestamp = f"{with_zone[:10]} {with_zone[11:19]}" if channel == "ATM" else with_zone
            txn_id = self.new_id()
            # Of all these texts only a run's id may have letters that JSON must escape.
            quoted_id = quoted(txn_id)
            record = (
                f'{{"txn_id": {quoted_id}, "user_id": "{user.user_id}",'
                f' "amount": {cents // 100}.{_HUNDREDTHS[cents % 100]}, "merchant_id": "{merchant_id}",'
                f' "channel": "{channel}", "location": "{location}", "timestamp": "{timestamp}"}}'
            )
            truth = f'"{scenario}", "is_fraud": true' if scenario else 'null, "is_fraud": false'
            if case:
                truth += f', "case": "{case}"'
            label = f'{{"txn_id": {quoted_id}, "scenario": {truth}, "timestamp": "{with_zone}"}}'
            sent, label_sent = (user.user_id.encode(), record.encode()), (txn_id.encode(), label.encode())
            made.append(Transaction(sent, label_sent, scenario))
        return made

    def _begin_hour(self, moment: int, rows: Iterator[_Row]) -> None:
        self._hour_ends = (moment // HOUR_MS + 1) * HOUR_MS
        self._drafts = self._drafted(rows, self._thefts.at(moment), is_sales_day(self._population, moment))

    def _drafted(self, rows: Iterator[_Row], stolen: Mapping[int, Theft], sales: bool) -> Iterator[_Drafted]:
        """One draft of an hour after the other: what is due by then, or what somebody pays next.

        Each is made when it is asked for: only then the moment is known.
        """
        users, favourites, stays, later, rng = self._users, self._favourites, self._stays, self._later, self._rng
        case_share = self._case_share
        for who, kind, cents, channel_number, which in rows:
            while later and later[0][0] <= self._moment:
                yield heapq.heappop(later)[2]
            moment, user = self._moment, users[who]
            if who in stolen and rng.random() < THIEFS_SHARE:
                yield (moment, *self._thefts.draft(rng, stolen[who], user, cents)[:6], None)
                continue
            until, location, case, shops = stays[who]
            if moment >= until:
                until, location, case, shops = stays[who] = self._stay(user, moment)
            if location is None:
                continue
            if kind < case_share or self._owed:
                self._owed += kind < case_share
                if location == user.city.city:
                    self._owed -= 1
                    self._begin_case(user)
                    continue
            channel = CHANNELS[channel_number]
            if not shops or channel == "Online":
                shops = favourites[who]
            merchant_id = shops[int(which * len(shops))]
            if kind >= _ODD_FROM:
                if kind >= _DEAR_FROM:
                    channel, cents = "Online", rng.randint(2_500_000, 6_000_000)
                elif kind >= _RISKY_FROM:
                    merchant_id = rng.choice(self._population.risky_merchants)
                elif who not in self._bought_big:
                    self._bought_big.add(who)
                    channel, case = rng.choice(("POS", "Online")), "first_big_purchase"
                    cents = round(user.habits.median_cents * rng.uniform(20, 60))
                    merchant_id = strange_merchant(rng, self._population, user)
            elif sales and channel != "ATM":
                cents, case = SALES_FACTOR * cents, case or "sales_day"
            yield moment, user, cents, merchant_id, channel, location, None, case

    def _stay(self, user: User, moment: int) -> _Stay:
        until, location, case = stay_of(self._population, user, moment)
        if location is None or location == user.city.city:
            return until, location, case, None
        return until, location, case, self._population.shops_in(location)

    def _begin_case(self, user: User) -> None:
        """Begin a new case of fraud with this user, whose transactions come when they are due."""
        kinds = list(SCENARIOS.values())
        (scenario,) = self._rng.choices(kinds, [kind.share / kind.frauds for kind in kinds])
        drafts = scenario.drafts(self._rng, self._population, user)
        begin = self._moment - (drafts[-1].after // _MILLISECOND if self._live and scenario.recent else 0)
        for draft in drafts:
            due = begin + draft.after // _MILLISECOND
            heapq.heappush(self._later, (due, next(self._queued), (due, *draft[:6], None)))

    def _drawn(self, weights: np.ndarray[Any, Any], at_once: int) -> Iterator[_Row]:
        """Rows without end; ``weights`` says how much each user pays, relative to the others.

        One by one, drawing costs as much as all the rest.
        """
        rng, upto = self._lots, np.cumsum(weights)
        medians, sigmas, channels = self._medians, self._sigmas, self._channels
        while True:
            lots = rng.random((4, at_once))
            who = np.searchsorted(upto, lots[0] * upto[-1], side="right")
            cents = medians[who] * np.exp(sigmas[who] * rng.standard_normal(at_once))
            channel = (channels[who] <= (lots[1] * channels[who, -1])[:, None]).sum(axis=1)
            columns = who, lots[2], np.maximum(LEAST_CENTS, np.rint(cents)).astype(int), channel, lots[3]
            yield from zip(*(column.tolist() for column in columns), strict=True)


def _shares(fraud_share: float) -> tuple[float, float, float]:
    """How often a lot must be a new case, and what share of the cards must be stolen: by number, and by copy.

    So that this share of the *transactions* is fraud on average.
    """
    kinds = SCENARIOS.values()
    cases = sum(kind.share / kind.frauds for kind in kinds)
    frauds = sum(kind.share for kind in kinds) / cases
    more = frauds + sum(kind.share / kind.frauds * kind.genuine for kind in kinds) / cases - 1
    short = fraud_share * sum(kind.share for kind in kinds)
    of_lots = short / (frauds - short * more)  # those that are a new case
    transactions = 1 + of_lots * more  # that come of a lot
    cards, copies = (share * fraud_share * transactions for share in (CARD_SHARE, MERCHANT_SHARE))
    return of_lots / (1 - cards - copies), cards / THIEFS_SHARE, copies / THIEFS_SHARE


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND
