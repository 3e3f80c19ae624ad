"""The live page: who is refused, what is shown, and a real browser that turns knobs."""

import json
import shutil
import threading
import time
import urllib.error
import urllib.request

import pytest
from training import make

from fieldgrad.engine.train import Callback, Checkpoint, EarlyStop, GradientClip, Pictures, Run

pytest.importorskip("starlette", reason="the live page needs starlette (extra: live)")
pytest.importorskip("uvicorn", reason="the live page needs uvicorn (extra: live)")
pytest.importorskip("psutil", reason="the live page needs psutil (extra: live)")

from fieldgrad.engine.runs.live import serve

# A PNG of one pixel.
DOT = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c6360606000"
    "0000040001f61738550000000049454e44ae426082"
)


class Slow(Callback):
    """A step as long as those of a real network."""

    def after_batch(self, learner):
        time.sleep(0.02)


@pytest.fixture
def training(tmp_path):
    """A learner that trains in a thread, with the page's server."""
    learner = make(
        Slow(), GradientClip(), EarlyStop(patience=1000), Checkpoint(), run_dir=tmp_path / "moons",
        n_workers=2,
    )  # fmt: skip
    learner.callbacks.insert(0, Pictures(lambda learner: {"decision boundary": DOT}, most=1.0))
    thread = threading.Thread(target=learner.fit, args=("2000 epochs",))
    thread.start()
    wait_for(lambda: (tmp_path / "moons" / "run.json").exists())
    server = serve(tmp_path / "moons")
    yield learner, server
    learner.knobs.do("stop")
    thread.join(20)
    server.stop()
    assert not thread.is_alive()


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def ask(url, path, body=None, **headers):
    """Give status and text of an answer."""
    base, _, token = url.partition("/?token=")
    headers.setdefault("Authorization", f"Bearer {token}")
    headers = {name: value for name, value in headers.items() if value is not None}
    request = urllib.request.Request(base + path, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_only_its_own_page_with_the_token_is_answered(training):
    learner, server = training
    knob = json.dumps({"settings": {"lr": 0.5}}).encode()
    for path, body in (("/", None), ("/state", None), ("/pictures/x", None), ("/request", knob)):
        assert ask(server.url, path, body, Authorization=None)[0] == 403
        assert ask(server.url, path, body, Authorization="Bearer wrong")[0] == 403
        assert ask(server.url, path, body, Origin="http://evil.example")[0] == 403
        assert ask(server.url, path, body, Origin="null")[0] == 403
        assert ask(server.url, path, body, Host="evil.example")[0] == 403
    status, text = ask(server.url, "/?token=wrong", Authorization=None)
    assert (status, "token is missing or wrong" in text) == (403, True)
    assert learner.optimizer.lr != 0.5
    assert server.url.startswith("http://127.0.0.1:")


def test_the_page_loads_nothing_from_elsewhere(training):
    _, server = training
    status, page = ask(server.url, "/")
    assert status == 200
    assert "http://" not in page
    assert "https://" not in page
    assert "//cdn" not in page


def test_the_state_is_strict_json_with_charts_knobs_and_load(training):
    learner, server = training
    wait_for(lambda: learner.epoch >= 2 and "polyline" in ask(server.url, "/state")[1])
    status, text = ask(server.url, "/state")
    assert status == 200

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    state = json.loads(text, parse_constant=refuse)
    assert state["status"]["state"] == "running"
    assert {"Loss", "Learning rate", "Accuracy"} <= state["charts"].keys()
    assert "<polyline" in state["charts"]["Loss"]
    assert {"lr", "patience", "clip"} <= {knob["name"] for knob in state["status"]["knobs"]}
    assert state["load"]["memory_gb"] > 0
    assert [p["name"] for p in state["pictures"]] == ["decision-boundary"]
    assert ask(server.url, "/pictures/decision-boundary")[0] == 200
    assert ask(server.url, "/pictures/..%2Frun.json")[0] == 404


def test_a_refused_knob_says_why(training):
    learner, server = training
    status, text = ask(server.url, "/request", json.dumps({"settings": {"lr": "-1"}}).encode())
    assert status == 409
    assert "lr is -1; expected a number above 0" in json.loads(text)["said"]
    assert ask(server.url, "/request", b"[1, 2]")[0] == 400
    status, text = ask(server.url, "/request", json.dumps({"settings": {"lr": "0.01"}}).encode())
    assert (status, learner.optimizer.lr) == (200, 0.01)
    assert Run(learner.run_dir).changes()[-1].source == "browser"


@pytest.fixture
def browser(tmp_path):
    """Chromium without a window, and without anything of its own going through the network."""
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium drives the browser")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no Chromium with its driver (Debian: chromium, chromium-driver)")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for switch in (
        "headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking",
        "disable-component-update", "disable-sync", f"user-data-dir={tmp_path / 'profile'}",
        "window-size=1440,1000",
    ):  # fmt: skip
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = selenium.Chrome(options, selenium.ChromeService(driver))
    yield driver
    driver.quit()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_browser_turns_three_knobs_pauses_and_goes_on(training, browser):
    learner, server = training
    browser.get(server.url)

    def text(element):
        return browser.find_element("id", element).text

    def click(action):
        browser.execute_script(f"document.querySelector('[data-action={action}]').click()")

    def turn(knob, value):
        field = browser.find_element("id", f"value-{knob}")
        field.clear()
        field.send_keys(value + "\n")
        wait_for(lambda: f"{knob} = " in text("said"))

    wait_for(lambda: text("state") == "running")
    wait_for(lambda: browser.find_elements("css selector", "#chart-Loss polyline"))
    before = browser.find_element("id", "chart-Learning-rate").get_attribute("innerHTML")
    turn("lr", "0.1")
    turn("weight_decay", "0.05")
    turn("patience", "77")
    wait_for(lambda: learner.optimizer.lr == 0.1)
    assert learner.optimizer.weight_decay == 0.05
    [early] = [c for c in learner.callbacks if isinstance(c, EarlyStop)]
    assert early.patience == 77
    # The curve shows the new rate and where it was turned.
    wait_for(lambda: "lr 0.1" in browser.find_element("id", "charts").get_attribute("innerHTML"))
    after = browser.find_element("id", "chart-Learning-rate").get_attribute("innerHTML")
    assert after != before
    assert "lr = 0.1 (was 0.003)" in text("changes")
    turn_bad = browser.find_element("id", "value-lr")
    turn_bad.clear()
    turn_bad.send_keys("fast\n")
    wait_for(lambda: "the knob lr is fast; expected a number above 0" in text("said"))

    click("pause")
    wait_for(lambda: text("state") == "paused")
    step = learner.step
    time.sleep(0.5)
    assert learner.step == step
    click("resume")
    wait_for(lambda: text("state") == "running")
    wait_for(lambda: learner.step > step)
    image = browser.find_element("css selector", "#pictures img")
    wait_for(lambda: image.get_property("naturalWidth") == 1)
    complaints = [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"]
    assert all("/request" in text and "409" in text for text in complaints), complaints  # "fast"

    base = server.url.partition("/?")[0]
    browser.get(base + "/")
    assert "token is missing or wrong" in browser.find_element("tag name", "body").text
    # A page of another origin can neither read nor ask, even if it knew the token.
    token = server.url.partition("token=")[2]
    browser.get("data:text/html,<p>elsewhere</p>")
    script = """
        const done = arguments[2];
        fetch(arguments[0] + "/request", {method: "POST", mode: "no-cors",
              body: '{"settings": {"lr": 0.9}}', headers: {}})
          .then(r => done(r.type + r.status), e => done("refused"));
    """
    browser.execute_async_script(script, base + f"/request?token={token}", "")
    assert learner.optimizer.lr == 0.1
