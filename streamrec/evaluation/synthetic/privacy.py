"""Whether synthetic rows give away the rows they were learnt from: nearness, copies, membership.

A generator that has learnt the population is as near to rows that it never saw as to rows that it saw. Both
sides must have as many rows, else the larger is nearer by its size alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from streamrec.evaluation.synthetic.distances import nearest_distances

Floats = NDArray[np.float64]


def closest_record_share(synthetic: Floats, members: Floats, others: Floats) -> float:
    """Share of the synthetic rows (s, D) whose closest record is a training row; ties count half.

    Distance to closest record (DCR) as TabDDPM and TabSyn use it, at equal sizes: 0.5 is ideal, 1 is copying.

    Args:
        synthetic: rows of the space in which nearness is measured.
        members: training rows (m, D).
        others: rows (m, D) that were held out.
    """
    to_members = nearest_distances(synthetic, members)
    to_others = nearest_distances(synthetic, others)
    return float((to_members < to_others).mean() + 0.5 * (to_members == to_others).mean())


def membership_auc(synthetic: Floats, members: Floats, others: Floats) -> float:
    """Area under the ROC curve of an attack that guesses who was trained on: 0.5 gives nothing away.

    The attacker holds the synthetic rows (s, D) only, and takes a record for a member the nearer it is to one
    of them (Chen et al., "GAN-Leaks", 2020).

    Args:
        synthetic, members, others: as in `closest_record_share`.
    """
    nearness = -nearest_distances(np.concatenate([members, others]), synthetic)
    is_member = np.repeat([1, 0], [len(members), len(others)])
    return float(roc_auc_score(is_member, nearness))


def copied_share(synthetic: Floats, train: Floats) -> float:
    """Share of the synthetic rows (s, d) that equal a training row (n, d) in every raw value.

    Missing cells (NaN) equal each other. Real tables have some rows twice: compare with held-out rows' share.
    """
    known = {row.tobytes() for row in _comparable(train)}
    return float(np.mean([row.tobytes() in known for row in _comparable(synthetic)]))


def _comparable(rows: Floats) -> Floats:
    # One bit pattern for every NaN, and one for both zeros.
    return np.where(np.isnan(rows), np.nan, rows) + 0.0
