"""Particle physics: from files of jets to taggers and their figures.

- `jets/`: begin with `jets/batch.py`;
- `reading/`: files and descriptions of analyses → jets;
- `models/`: networks, `tagging/`: their training and use (begin with `tagging/tagger.py`);
- `figures/`: what is quoted of a tagger;
- `simulation/`: jets made here.
"""
