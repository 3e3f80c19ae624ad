"""Molecules: SMILES in, calibrated predictions of their properties out.

Read `predictor.py` first: a `Predictor` is fitted, predicts, is saved and loaded::

    tables        CSV, SDF and Parquet, a part at a time; frames: lists and DataFrames
    smiles        SMILES → molecules of RDKit, or the reason why not; scaffolds
    features      atoms and bonds as vectors; descriptors: whole molecules
    featurize     all of these, in parallel and kept for the next time
    graph         molecular graphs → batches
    splits        training, validation and test: at random, by scaffold, by similarity
    labels        numbers, or classes; labeled: a table with them, read and divided
    dmpnn         networks: messages along bonds; fingerprint: descriptors alone
    fitting       their training; losses: labels may be missing
    estimates     what a model says of a molecule
    calibration   how sure that is; metrics: how good
    predictor     Predictor: networks with all that is needed to use them; model_file
    baselines     what a network must beat: the mean, a random forest
    prediction    a model over a whole table
    interpret     which atoms a prediction comes from
    learners      three lines to a trained model; tasks: what recipes and commands run
    report        pictures; run_report: what a run shows of itself
"""
