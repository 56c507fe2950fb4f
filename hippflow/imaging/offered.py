"""The settings of suite2p 1.1.0 that the workflow offers, what each may be, and why the others are not offered.

A test holds the table against the installed library.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """What one setting may be.

    Attributes
    ----------
    kind : type
        Of the value, or of each of two values where `pair` is set.
    least, most : float, optional
        Inclusive limits; suite2p's own, or narrower where it fails at its own.
    choices : tuple of str
        The words that are allowed, for texts.
    pair : bool
        Two values, height and width.
    optional : bool
        May be null.
    """

    kind: type
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    pair: bool = False
    optional: bool = False


_SWITCH = Setting(bool)
_SHARE = Setting(float, 0, 1)
_POSITIVE = Setting(float, 0)
_WHOLE = Setting(int, 0)
_COUNT = Setting(int, 1)

#: Every setting that can be given, by its group and suite2p's own name.
SETTINGS = {
    "torch_device": Setting(str),
    "fs": Setting(float, 0.01),
    "tau": Setting(float, 0.01, 10),
    "diameter": Setting(float, 1, pair=True),
    "run.do_registration": Setting(int, 0, 1),
    "run.do_deconvolution": _SWITCH,
    "registration.nimg_init": Setting(int, 2),
    "registration.maxregshift": _SHARE,
    "registration.do_bidiphase": _SWITCH,
    "registration.bidiphase": _WHOLE,
    "registration.batch_size": _COUNT,
    "registration.nonrigid": _SWITCH,
    "registration.maxregshiftNR": _WHOLE,
    "registration.block_size": Setting(int, 16, pair=True),
    "registration.smooth_sigma_time": _POSITIVE,
    "registration.smooth_sigma": Setting(float, 0.25),
    "registration.spatial_taper": _POSITIVE,
    "registration.th_badframes": _POSITIVE,
    "registration.norm_frames": _SWITCH,
    "registration.snr_thresh": Setting(float, 1),
    "registration.two_step_registration": _SWITCH,
    "detection.algorithm": Setting(str, choices=("sparsery", "sourcery")),
    "detection.denoise": _SWITCH,
    "detection.block_size": Setting(int, 16, pair=True),
    "detection.nbins": _COUNT,
    "detection.bin_size": Setting(int, 1, 500, optional=True),
    "detection.highpass_time": Setting(int, 1),
    "detection.threshold_scaling": _POSITIVE,
    "detection.npix_norm_min": _POSITIVE,
    "detection.npix_norm_max": _POSITIVE,
    "detection.max_overlap": _SHARE,
    "detection.soma_crop": _SWITCH,
    "detection.sparsery_settings.highpass_neuropil": Setting(int, 5),
    "detection.sparsery_settings.max_ROIs": _COUNT,
    "detection.sparsery_settings.spatial_scale": Setting(int, 0, 4),
    "detection.sparsery_settings.active_percentile": _SHARE,
    "detection.sourcery_settings.connected": _SWITCH,
    "detection.sourcery_settings.max_iterations": _COUNT,
    "detection.sourcery_settings.smooth_masks": _SWITCH,
    "classification.use_builtin_classifier": _SWITCH,
    "classification.preclassify": _SHARE,
    "extraction.snr_threshold": Setting(float, None, 1),
    "extraction.batch_size": _COUNT,
    "extraction.neuropil_extract": _SWITCH,
    "extraction.neuropil_coefficient": _POSITIVE,
    "extraction.inner_neuropil_radius": _WHOLE,
    "extraction.min_neuropil_pixels": _COUNT,
    "extraction.lam_percentile": Setting(float, 0, 100),
    "extraction.allow_overlap": _SWITCH,
    "extraction.circular_neuropil": _SWITCH,
    "dcnv_preprocess.baseline": Setting(str, choices=("maximin", "prctile", "constant")),
    "dcnv_preprocess.win_baseline": Setting(float, 1),
    "dcnv_preprocess.sig_baseline": Setting(float, 1),
    "dcnv_preprocess.prctile_baseline": Setting(float, 0, 100),
}

_SECOND_CHANNEL = "only the functional channel is kept (movie.functional_channel)"

#: Settings of suite2p that are not offered, alone or as a whole group, and why.
NOT_OFFERED = {
    "version": "the version is that of the installed suite2p",
    "io": "the workflow decides what is written and where",
    "run.do_regmetrics": "its result differs from run to run and takes up to 15 GB",
    "run.do_detection": "ask for the registration's outputs alone instead",
    "run.multiplane_parallel": "planes are jobs of their own already",
    "registration.align_by_chan2": _SECOND_CHANNEL,
    "registration.reg_tif": "the registered movie is suite2p/planeN/data.bin",
    "registration.reg_tif_chan2": _SECOND_CHANNEL,
    "registration.subpixel": "suite2p 1.1.0 takes the shifts for tenths of a pixel whatever it says",
    "registration.upsample_meanImg": "it is not one of the workflow's products",
    "detection.chan2_threshold": _SECOND_CHANNEL,
    "detection.cellpose_chan2": _SECOND_CHANNEL,
    "detection.cellpose_settings": "cellpose 4 needs a model of more than 1 GB and is not offered",
    "classification.classifier_path": "only the classifier that suite2p brings gives everyone the same cells",
}

#: Where the workflow's defaults are not suite2p's.
DEFAULTS = {"torch_device": "cpu", "classification.use_builtin_classifier": True}

#: Settings that change what registration makes.
REGISTRATION = ("torch_device", "run.do_registration", "registration.")

#: The groups that settings are in.
GROUPS = frozenset(name.rpartition(".")[0] for name in SETTINGS) - {""}
