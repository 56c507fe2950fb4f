"""What is made of sessions, channels and days, and what the command line calls them. No rules."""

from hippflow.day.selection import nearest


def get_all_products(wildcards):
    """Everything that the configuration selects."""
    return [product.path for day in DAYS for product in PRODUCTS.of_day(day)]


def get_days_called(date):
    """The subject/day entries of a date, of one subject or several."""
    return [day for day in DAYS if Path(day).name == date]


def get_date_products(date, wildcards):
    """Everything that is made of one date."""
    return [
        product.path
        for day in get_days_called(date)
        for product in PRODUCTS.of_day(day)
    ]


def get_date_channel_products(date, number, wildcards):
    """Everything that is made of one channel on one date."""
    return [
        product.path
        for day in get_days_called(date)
        for product in PRODUCTS.of_day_channel(day, number)
    ]


def get_date_folders(folder, date, number, wildcards):
    """What is made on request to look at the units of one channel on one date: phy or analyzer."""
    return [
        PRODUCTS.path(day, f"mountains/channel{number:03d}/{folder}/hippflow.json")
        for day in get_days_called(date)
        if number in PRODUCTS.channels(day)
    ]


def get_channel_targets(arguments, kind="channel"):
    """The targets channel/DATE/NUMBER among the command line's arguments, with their date and channel number."""
    targets = []
    for target in dict.fromkeys(a for a in arguments if a.startswith(f"{kind}/")):
        date, _, number = target.removeprefix(f"{kind}/").partition("/")
        dates = [Path(day).name for day in DAYS]
        if date not in dates:
            raise WorkflowError(
                f"{target}: no day {date!r} is selected; nearest: {nearest(date, dates)}"
            )
        channels = {n for day in get_days_called(date) for n in PRODUCTS.channels(day)}
        if not number.isdigit() or int(number) not in channels:
            raise WorkflowError(
                f"{target}: no channel {number!r} is selected on {date} ({len(channels)} are); "
                f"nearest: {nearest(number, sorted(channels)) if channels else 'none'}"
            )
        targets.append((target, date, int(number)))
    return targets
