"""Fitted models of rows: a codec, a process and weights; scikit-learn is not needed here."""
