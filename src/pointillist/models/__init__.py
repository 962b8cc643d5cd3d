"""Fitted models of rows: a codec, a process and weights. The command line and studies use them without scikit-learn."""
