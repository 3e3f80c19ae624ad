"""Particle physics: from files of jets to taggers and their figures.

>>> from fieldgrad import physics
>>> jets = physics.read_jets("train.h5")  # doctest: +SKIP
>>> tagger = physics.Tagger.build("pfn", jets)  # doctest: +SKIP

The public names are listed in `__init__.pyi` and imported when first used. Where they live:

- `jets/`: begin with `jets/batch.py`;
- `reading/`: files and descriptions of analyses → jets;
- `models/`: networks, `tagging/`: their training and use (begin with `tagging/tagger.py`);
- `figures/`: what is quoted of a tagger;
- `simulation/`: jets made here.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
