"""The Tagger: training, weights, storage, observables, and what it refuses."""

from functools import partial

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError, FileError, RecipeError
from fieldgrad.engine.testing import check_field
from fieldgrad.physics.field import field
from fieldgrad.physics.figures import metrics
from fieldgrad.physics.figures.decorrelation import decorrelation_curve, sculpting
from fieldgrad.physics.models import PFN, ParticleTransformer
from fieldgrad.physics.reading.datasets import made_up_jets
from fieldgrad.physics.tagging import losses
from fieldgrad.physics.tagging.tagger import Tagger

SMALL = partial(PFN, phi=(16, 16), f=(16,))


@pytest.fixture(scope="module")
def jets():
    return made_up_jets(600, seed=0, n_constituents=15)


def test_field_keeps_its_contract():
    check_field(field)


def test_a_tagger_learns_and_its_file_holds_all_it_needs(jets, tmp_path):
    tagger = Tagger.build(SMALL, jets[:500], observables=["jet_mass", "jet_nparticles"])
    learner = tagger.fit(jets[:400], jets[400:500], budget="6 epochs", batch_size=32)
    assert learner.history[-1]["auc"] > 0.9
    p = tagger.predict(jets[500:])
    assert metrics.auc(jets[500:].labels, p[:, 1]) > 0.9
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    tagger.temperature = 1.7
    tagger.save(tmp_path / "m.safetensors")
    again = Tagger.load(tmp_path / "m.safetensors")
    assert again.label_names == jets.label_names
    assert again.inputs == ("features", "observables")
    np.testing.assert_array_equal(again.predict(jets[500:]), tagger.predict(jets[500:]))
    assert (np.argmax(again.predict(jets[500:]), 1) == np.argmax(p, 1)).all()
    # Standardized with the constants of the training, whatever the jets at hand are.
    alone = again.predict(jets[np.array([507])])
    np.testing.assert_allclose(alone[0], again.predict(jets[500:])[7], rtol=1e-5)
    pytest.importorskip("awkward", reason="needs the extra physics")
    bare = jets[500:].to_awkward()["constituents"]
    np.testing.assert_allclose(again.predict(bare), again.predict(jets[500:]), rtol=1e-5)


def test_jets_of_weight_zero_do_not_train(jets):
    kept = np.arange(400) % 2 == 0
    some = jets[:400].replace(weights=kept.astype(float))
    taken = [Tagger.build(SMALL, jets, seed=1) for _ in range(2)]
    for tagger, train in zip(taken, (some, jets[:400][kept]), strict=True):
        # One step over all jets: the same gradient.
        tagger.fit(train, budget="1 steps", batch_size=400)
    first, second = (tagger.network.state_dict() for tagger in taken)
    for key, value in first.items():
        np.testing.assert_allclose(value, second[key], rtol=1e-4, atol=1e-5, err_msg=key)


def test_negative_weights_take_jets_back(jets):
    two = np.r_[np.arange(300), np.arange(100)]  # the first 100 again, with weight -1
    weights = np.r_[np.ones(300), -np.ones(100)]
    taken = [Tagger.build(SMALL, jets, seed=1) for _ in range(2)]
    taken[0].fit(jets[two].replace(weights=weights), budget="1 steps", batch_size=400)
    taken[1].fit(jets[100:300], budget="1 steps", batch_size=400)
    first, second = (tagger.network.state_dict() for tagger in taken)
    for key, value in first.items():
        np.testing.assert_allclose(value, second[key], rtol=1e-4, atol=1e-5, err_msg=key)


def test_longest_jets_do_not_change_the_others(jets):
    """A model that pads gives the same, however long the longest jet of the batch is."""
    model = partial(
        ParticleTransformer, width=16, n_heads=2, n_blocks=1, n_class_blocks=1, embedding=(16,),
        pair_embedding=(8,),
    )  # fmt: skip
    tagger = Tagger.build(model, jets)
    few = np.argsort(jets.counts)[:20]
    many = np.r_[few, np.argsort(jets.counts)[-20:]]
    found = tagger.predict(jets[many])[:20]
    np.testing.assert_allclose(found, tagger.predict(jets[few]), rtol=1e-4, atol=1e-6)


def test_decorrelation_needs_the_mass(jets):
    tagger = Tagger.build(SMALL, jets)
    loss = losses.Decorrelated(3.0)
    learner = tagger.fit(jets[:200], budget="1 epochs", loss=loss)
    assert np.isfinite(learner.history[-1]["train_loss"])
    with pytest.raises(DataError, match="have no observer 'jet_mas'; did you mean 'jet_mass'"):
        tagger.fit(jets[:200], budget="1 epochs", loss=losses.Decorrelated(observer="jet_mas"))


def test_a_score_pays_with_rejection_for_knowing_little_of_the_mass():
    jets = made_up_jets(3000, seed=9, n_constituents=12)
    wrong = np.random.default_rng(9).random(3000) < 0.1  # made-up jets are too easy
    jets = jets.replace(labels=np.where(wrong, 1 - jets.labels, jets.labels))
    train, test, found = jets[:1000], jets[1000:], []
    for loss in (losses.cross_entropy, losses.Decorrelated(30.0)):
        tagger = Tagger.build(SMALL, train)
        tagger.fit(train, budget="10 epochs", batch_size=250, loss=loss)
        score = tagger.predict(test)[:, 1]
        (row,) = decorrelation_curve(test.labels, score, test.mass, efficiencies=[0.5])
        found.append((row["jsd"], row["rejection"]))
    assert row["jsd_of_equal"] < 0.1
    assert found[1][0] < 0.6 * found[0][0]
    assert found[1][1] < found[0][1]


def test_equal_masses_have_the_divergence_that_chance_gives():
    rng, found = np.random.default_rng(0), []
    for _ in range(20):
        mass, score = rng.normal(size=2000), rng.random(2000)
        found.append(sculpting(np.arange(2000) % 2, score, mass))
    mean = np.mean([one["jsd"] for one in found])
    assert mean == pytest.approx(np.mean([one["jsd_of_equal"] for one in found]), rel=0.15)


def test_a_run_is_written_and_resumed(jets, tmp_path):
    whole = Tagger.build(SMALL, jets, seed=2)
    whole.fit(jets[:256], budget="2 epochs", run_dir=tmp_path / "a", seed=3)
    halted = Tagger.build(SMALL, jets, seed=2)
    from fieldgrad.engine.train import Callback

    class Halt(Callback):
        def after_epoch(self, learner):
            if learner.epoch == 1:
                raise KeyboardInterrupt

        order = 100

    with pytest.raises(KeyboardInterrupt):
        halted.fit(
            jets[:256], budget="2 epochs", run_dir=tmp_path / "b", seed=3, callbacks=[Halt()]
        )
    rest = Tagger.build(SMALL, jets, seed=2)
    rest.fit(jets[:256], budget="2 epochs", run_dir=tmp_path / "b", seed=3, resume=True)
    for key, value in whole.network.state_dict().items():
        np.testing.assert_array_equal(rest.network.state_dict()[key], value)
    assert (tmp_path / "b" / "model.safetensors").exists()


def test_mistakes_are_explained(jets, tmp_path):
    with pytest.raises(RecipeError, match="no model 'pfm'"):
        Tagger.build("pfm", jets)
    with pytest.raises(RecipeError, match="PFN has no setting 'phy'; did you mean 'phi'"):
        Tagger.build("pfn", jets, phy=(3,))
    with pytest.raises(DataError, match="ObservablesMLP sees observables of the jet"):
        Tagger.build("observables_mlp", jets)
    with pytest.raises(DataError, match="Read the jets with their labels"):
        Tagger.build("pfn", jets.replace(labels=None, label_names=()))
    tagger = Tagger.build(SMALL, jets)
    with pytest.raises(DataError, match="weights of 600 jets sum to 0"):
        tagger.fit(jets.replace(weights=np.zeros(600)))
    with pytest.raises(DataError, match="the jets have no labels"):
        tagger.fit(jets.replace(labels=None))
    tagger.save(tmp_path / "m")
    data = (tmp_path / "m").read_bytes()
    (tmp_path / "cut").write_bytes(data[: len(data) // 2])
    with pytest.raises(FileError, match="cut is not a whole safetensors file"):
        Tagger.load(tmp_path / "cut")
