"""What Pasad et al. 2020 printed: mIoU in per cent on ScanNet's validation set, 21 classes, one run each."""

PAPER = "Pasad et al. 2020"
SHARES = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)  # per cent of the frames that are labelled
BASELINE, CONTINUED, METHOD = "baseline", "baseline continued", "consistency"
TABLE_1 = {  # by share
    BASELINE: (39.8, 43.2, 47.0, 49.0, 49.1, 51.1),
    METHOD: (43.3, 46.1, 49.4, 49.3, 51.1, 51.1),
}
TABLE_2 = {  # at 0.1 %; its first row is Table 1's baseline, which the paper does not train on
    CONTINUED: 39.8,
    "uniform": 41.7,
    "label prior": 41.3,
    "pixel prior": 41.8,
    "all three": 43.3,
    "pseudo-label CE": 41.4,
    "all three + pseudo-label CE": 42.0,
}
PRIORS = ("uniform", "label prior", "pixel prior")
RARE = 0.05  # "the rarest labels, especially those that are only 5% frequent or lesser" (4.4)
