"""Libraries that follow the array API standard take tensors, and give what they give for NumPy."""

import os
import subprocess
import sys

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine import array_api as xp

# In a process of its own: SciPy reads the variable when it is imported.
HEAD = """
import warnings
warnings.simplefilter("ignore")
import numpy as np
import fieldgrad.engine as fg

a = np.random.default_rng(0).normal(size=(40, 3))
x = fg.tensor(a)

def same(function):
    got, want = function(x), function(a)
    assert isinstance(got, fg.Tensor), type(got)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-9, atol=1e-12)
"""

SCIPY = """
from scipy import cluster, fft, integrate, ndimage, signal, special, stats

same(fft.fft)
same(fft.dct)
same(special.erf)
same(lambda x: special.gammaln(x * x + 1))
same(lambda x: special.logsumexp(x, axis=0))
same(lambda x: special.softmax(x, axis=0))
same(stats.zscore)
same(stats.skew)
same(stats.kurtosis)
same(lambda x: stats.moment(x, order=3))
same(lambda x: stats.pearsonr(x[:, 0], x[:, 1]).statistic)
same(lambda x: stats.ttest_1samp(x, 0.0).pvalue)
same(lambda x: stats.entropy(x * x))
same(lambda x: signal.detrend(x, axis=0))
same(lambda x: signal.fftconvolve(x[:, 0], x[:5, 0]))
same(lambda x: ndimage.gaussian_filter(x, 1.0))
same(lambda x: integrate.trapezoid(x, axis=0))
same(lambda x: cluster.vq.whiten(x))

y = fg.tensor(a, requires_grad=True)
special.logsumexp(y).backward()
np.testing.assert_allclose(y.grad.numpy(), special.softmax(a), rtol=1e-9)
"""

SKLEARN = """
from sklearn import config_context, metrics
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler

labels = (a[:, 0] > 0).astype(int)
with config_context(array_api_dispatch=True):
    same(lambda x: abs(PCA(2, svd_solver="full").fit_transform(x)))
    same(lambda x: StandardScaler().fit_transform(x))
    same(lambda x: MinMaxScaler().fit_transform(x))
    same(lambda x: Normalizer().fit_transform(x))
    same(lambda x: Ridge(solver="svd").fit(x, x[:, 0]).coef_)
    same(lambda x: metrics.pairwise_distances(x))
    found = LinearDiscriminantAnalysis().fit(x, fg.tensor(labels)).predict(x)
    want = LinearDiscriminantAnalysis().fit(a, labels).predict(a)
    assert found.tolist() == want.tolist()
    assert metrics.r2_score(x[:, 0], x[:, 1]) == metrics.r2_score(a[:, 0], a[:, 1])
"""


def test_array_api_compat_finds_the_namespace():
    compat = pytest.importorskip("array_api_compat", reason="it finds namespaces")
    x = fg.ones(3)
    assert compat.array_namespace(x, fg.zeros(2)) is xp
    assert compat.is_array_api_obj(x)
    assert compat.device(x) == "cpu"
    assert compat.to_device(x, "cpu").tolist() == x.tolist()
    assert compat.size(x) == 3


@pytest.mark.slow
@pytest.mark.parametrize(("library", "code"), [("scipy", SCIPY), ("sklearn", SKLEARN)])
def test_a_library_with_array_api_support_takes_tensors(library, code):
    pytest.importorskip("array_api_compat", reason="SciPy's support needs it")
    pytest.importorskip(library, reason=f"{library} is what takes the tensors")
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    run = subprocess.run(
        [sys.executable, "-c", HEAD + code], env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-2000:]


def test_a_function_of_the_standard_has_gradients():
    def spread(x):
        name = x.__array_namespace__()
        centered = x - name.mean(x, axis=0, keepdims=True)
        return name.sqrt(name.sum(centered * centered))

    x = fg.tensor(np.random.default_rng(0).normal(size=(4, 2)), requires_grad=True)
    fg.gradcheck(spread, [x])
