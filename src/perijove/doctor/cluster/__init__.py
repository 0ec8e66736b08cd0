"""What is wrong with a BinderHub or a JupyterHub on Kubernetes? In: a Recording. Out: an Examination. Pure.

Each group of questions has a module; `diagnosis` asks them all and says what explains what. Objects narrow causes down,
probes raise what is known, logs and the configuration of a front make it certain.
"""
