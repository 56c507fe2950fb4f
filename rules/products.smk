"""What is made of sessions, channels and days, and what the command line calls them. No rules."""

from functools import cache

from hippflow.day.selection import nearest


def is_aligned(session):
    """Whether a session has all that it takes to put maze and gaze on the Ripple clock."""
    return bool(session.nev and session.maze_logs and session.eye)


def get_session_products(session):
    """Everything that is made of one session as a whole."""
    products = []
    if session.nev:
        products.append(RPLPARALLEL)
        products += [f"unaligned/{UNITY}"] if session.maze_logs else []
        products += [get_eyelink(session.name)] if session.eye else []
    if is_aligned(session):
        products += [UNITY, EYELINK, "alignment.json", "alignment.png", UMAZE]
        products += ["unityfile_eyelink.csv", "binData.hdf", "raycast.json"]
    return [results(session.path, name) for name in products]


def get_channel_products(session, number):
    """Everything that is made of one channel in one session."""
    names = [RPLRAW, RPLLFP, RPLHIGHPASS, "cells.csv"]
    names += [f"freqspectrum_{spectrum}.hkl" for spectrum in SPECTRA]
    names += ["placefields.csv"] if is_aligned(session) else []
    return [results(session.path, session.channels[number], name) for name in names]


def get_day_channel_products(day, number):
    """Everything that is made of one channel on one day."""
    recorded = [session for session in DAYS[day] if number in session.channels]
    names = ["firings.hkl", "units.csv", "metrics.csv", "templates.hkl"]
    products = [results(day, f"mountains/channel{number:03d}", name) for name in names]
    for session in recorded:
        products += get_channel_products(session, number)
    return products


def get_day_products(day):
    """Everything that is made of one day."""
    products = [p for session in DAYS[day] for p in get_session_products(session)]
    products += [results(day, "missingData.csv")] if get_eye_sessions(day) else []
    for number in get_day_channels(day):
        products += get_day_channel_products(day, number)
    return products


@cache
def get_day_channels(day):
    """Numbers of all channels recorded on one day."""
    return sorted({number for session in DAYS[day] for number in session.channels})


def get_all_products(wildcards):
    """Everything that the configuration selects."""
    return [product for day in DAYS for product in get_day_products(day)]


def get_days_called(date):
    """The subject/day entries of a date, of one subject or several."""
    return [day for day in DAYS if Path(day).name == date]


def get_date_products(date, wildcards):
    """Everything that is made of one date."""
    return [p for day in get_days_called(date) for p in get_day_products(day)]


def get_date_channel_products(date, number, wildcards):
    """Everything that is made of one channel on one date."""
    return [
        product
        for day in get_days_called(date)
        for product in get_day_channel_products(day, number)
    ]


def get_channel_targets(arguments):
    """The targets channel/DATE/NUMBER among the command line's arguments, with their date and channel number."""
    targets = []
    for target in dict.fromkeys(a for a in arguments if a.startswith("channel/")):
        date, _, number = target.removeprefix("channel/").partition("/")
        dates = [Path(day).name for day in DAYS]
        if date not in dates:
            raise WorkflowError(
                f"{target}: no day {date!r} is selected; nearest: {nearest(date, dates)}"
            )
        channels = {n for day in get_days_called(date) for n in get_day_channels(day)}
        if not number.isdigit() or int(number) not in channels:
            raise WorkflowError(
                f"{target}: no channel {number!r} is selected on {date} ({len(channels)} are); "
                f"nearest: {nearest(number, sorted(channels)) if channels else 'none'}"
            )
        targets.append((target, date, int(number)))
    return targets
