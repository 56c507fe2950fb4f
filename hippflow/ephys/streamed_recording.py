"""A recording of SpikeInterface whose samples are read when they are asked for.

What this does: lets SpikeInterface measure units on anything that gives samples by slices. What it does not: be
saved, or read by other processes. Importing it imports SpikeInterface.
"""

from typing import Any

import numpy as np
from spikeinterface.core import BaseRecording, BaseRecordingSegment


class StreamedRecording(BaseRecording):
    """One channel, one segment.

    Parameters
    ----------
    signal : sliceable, (n,)
        uV.
    sampling_rate : float
        Hz.
    """

    def __init__(self, signal: Any, sampling_rate: float):
        super().__init__(sampling_frequency=sampling_rate, channel_ids=np.arange(1), dtype="float32")
        self._serializability["memory"] = self._serializability["json"] = self._serializability["pickle"] = False
        self.add_recording_segment(_StreamedSegment(signal, sampling_rate))
        self.set_channel_gains(1.0)
        self.set_channel_offsets(0.0)


class _StreamedSegment(BaseRecordingSegment):
    def __init__(self, signal: Any, sampling_rate: float):
        super().__init__(sampling_frequency=sampling_rate)
        self._signal = signal

    def get_num_samples(self) -> int:
        """Return the length in samples."""
        return len(self._signal)

    def get_traces(
        self, start_frame: int | None = None, end_frame: int | None = None, channel_indices: Any = None
    ) -> np.ndarray:
        """Return samples (n, channels)."""
        start, stop, _ = slice(start_frame, end_frame).indices(len(self._signal))
        samples = np.asarray(self._signal[start:stop], np.float32)[:, None]
        return samples if channel_indices is None else samples[:, channel_indices]
