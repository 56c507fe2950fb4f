"""Targets with a name instead of a file: one day, one channel of one day, or its units to look at."""

from functools import partial

# Jobs on other nodes make files, never targets, and need not spend time on these.
if workflow.is_main_process:
    for date in sorted({Path(day).name for day in DAYS}):

        rule:
            name:
                f"day/{date}"
            input:
                partial(get_date_products, date),
            message:
                f"Everything of {date}"

    # A rule for each of some thousand channels would double the time of a dry run, so
    # only the channels that the command line names get one.
    for target, date, number in get_channel_targets(sys.argv):

        rule:
            name:
                target
            input:
                partial(get_date_channel_products, date, number),
            message:
                f"Everything of channel {number} on {date}"

    for kind, viewer in (("phy", "Phy"), ("analyzer", "SpikeInterface")):
        for target, date, number in get_channel_targets(sys.argv, kind):

            rule:
                name:
                    target
                input:
                    partial(get_date_folders, kind, date, number),
                message:
                    f"Everything for {viewer} of channel {number} on {date}"
