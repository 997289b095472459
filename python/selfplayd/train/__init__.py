"""A reference trainer: ``python -m selfplayd.train --game connect_four --out RUN`` learns from nothing.

In the order in which to read it: ``defaults.yaml``, ``network.py``, ``steps.py`` (with ``steps_numpy.py`` or
``steps_torch.py``), ``run.py`` (what is on the disk), ``__main__.py`` (the loop).
"""
