"""Steps of the flights experiment, shared by the script and the two notebooks.

The experiment's cached blocks reach into this module. Edit a function, a constant or a method that a block
uses, and that block runs again; edit anything else in here, and it still hits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from sklearn.metrics import brier_score_loss, roc_auc_score

#: A flight is late when it arrives more than this many minutes behind schedule.
LATE_MINUTES = 15

#: Measured every hour at each of the three airports of New York.
WEATHER = ["temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"]

#: What can be known before a flight leaves. Its departure delay cannot: it would give the answer away.
KNOWN_BEFORE = [
    "carrier",
    "origin",
    "dest",
    "distance",
    "departs_at",
    "weekday",
    "plane_age",
    "seats",
    "late_yesterday",
    *WEATHER,
]


@dataclass(frozen=True)
class Split:
    """A split in time: days before ``first_test_day`` are for training, the others for testing."""

    first_test_day: str

    def training(self, flights: pd.DataFrame) -> pd.DataFrame:
        """Flights to learn from."""
        return flights[flights["date"] < pd.Timestamp(self.first_test_day)]

    def testing(self, flights: pd.DataFrame) -> pd.DataFrame:
        """Later flights, which the model has never seen."""
        return flights[flights["date"] >= pd.Timestamp(self.first_test_day)]


def make_features(joined: pd.DataFrame) -> pd.DataFrame:
    """One row per flight that arrived: its date, what was known before it left, and whether it was late."""
    arrived = joined[joined["arr_delay"].notna()]
    date = pd.to_datetime(arrived[["year", "month", "day"]])
    features = arrived.assign(
        date=date,
        weekday=date.dt.day_of_week,
        departs_at=arrived["hour"] + arrived["minute"] / 60,
        plane_age=arrived["year"] - arrived["plane_year"],
        late=arrived["arr_delay"] > LATE_MINUTES,
    )
    features = with_late_yesterday(features)
    features = features.astype(dict.fromkeys(["carrier", "origin", "dest"], "category"))
    return features[["date", "hour", *KNOWN_BEFORE, "late"]]


def with_late_yesterday(flights: pd.DataFrame) -> pd.DataFrame:
    """Add the share of the carrier's flights from the same airport that were late on the day before."""
    daily = flights.groupby(["carrier", "origin", "date"])["late"].mean().rename("late_yesterday").reset_index()
    return flights.merge(daily.assign(date=daily["date"] + pd.Timedelta(days=1)), how="left", validate="m:1")


def score(late: pd.Series, chance: Any) -> dict[str, float]:
    """How well ``chance``, predicted for each flight, orders the flights (AUC) and states their risk (Brier)."""
    return {"AUC": roc_auc_score(late, chance), "Brier score": brier_score_loss(late, chance)}


def count_late(flights: pd.DataFrame, chance: Any) -> pd.DataFrame:
    """Flights, late flights and expected late flights of each carrier in each hour of the day."""
    counted = flights.assign(flights=1, expected_late=chance)
    sums = counted.groupby(["carrier", "hour"], observed=True)[["flights", "late", "expected_late"]].sum()
    return sums.reset_index()


def by_carrier(by_hour: pd.DataFrame, airlines: pd.DataFrame) -> pd.DataFrame:
    """Observed and predicted share of late flights of each carrier with 100 flights or more."""
    sums = by_hour.groupby("carrier", observed=True)[["flights", "late", "expected_late"]].sum()
    sums = sums[sums["flights"] >= 100]
    shares = pd.DataFrame({"observed": sums["late"], "predicted": sums["expected_late"]}).div(sums["flights"], axis=0)
    return shares.set_axis(shares.index.map(airlines.set_index("carrier")["name"])).sort_values("observed")


def draw_day(axes: Any, by_hour: pd.DataFrame, title: str) -> None:
    """Draw the observed and the predicted share of late flights over the hours of the day."""
    hours = by_hour.groupby("hour")[["flights", "late", "expected_late"]].sum()
    hours = hours[hours["flights"] >= 20]
    axes.plot(hours.index, hours["late"] / hours["flights"], "o-", color="tab:blue", label="observed")
    axes.plot(hours.index, hours["expected_late"] / hours["flights"], "--", color="tab:orange", label="predicted")
    axes.set(title=title, xlabel="scheduled hour of departure", ylabel="share of late flights")
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set_xticks(range(6, 24, 3))
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def draw_importance(axes: Any, importance: pd.Series) -> None:
    """Draw how much AUC the model loses when one column is shuffled."""
    top = importance.nlargest(10)[::-1]
    axes.barh(top.index, top, color="tab:blue")
    axes.set(title="What the model looks at", xlabel="AUC lost when the column is shuffled")
    axes.spines[["top", "right"]].set_visible(False)
