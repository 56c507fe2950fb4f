"""A small recording day with known truth: what happened, and one module per device that recorded it.

:mod:`~hippflow.demo.timeline` says what happened, :mod:`~hippflow.demo.units`
which neurons fired when, :mod:`~hippflow.demo.signal` what the electrodes saw of
it, :mod:`~hippflow.demo.ripple` writes that as the Ripple recorder does, and
:mod:`~hippflow.demo.day` puts the files of a day where a real day has them.
Nothing here uses the readers and filters of the pipeline: the demo is there to
test them.
"""
