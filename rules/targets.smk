"""Targets with a name instead of a file: one day, or one channel of one day."""

# Jobs on other nodes make files, never targets, and need not spend time on these.
if workflow.is_main_process:
    for date in sorted({day.rsplit("/", 1)[1] for day in DAYS}):

        rule:
            name:
                f"day/{date}"
            input:
                [p for day in get_days_called(date) for p in get_day_products(day)],
            message:
                f"Everything of {date}"

        for number in sorted(
            {n for day in get_days_called(date) for n in get_day_channels(day)}
        ):

            rule:
                name:
                    f"channel/{date}/{number:03d}"
                input:
                    [
                        p
                        for day in get_days_called(date)
                        for p in get_day_channel_products(day, number)
                    ],
                message:
                    f"Everything of channel {number} on {date}"
