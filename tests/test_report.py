"""The demo's HTML report: everything in it, nothing outside it."""

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="pip install 'gradsmith[demo]'")

from gradsmith.cli.report import render
from gradsmith.cli.result import Comparison, DemoResult, GradientCheck, Machine
from gradsmith.datasets import Digits
from gradsmith.train import DigitsRecipe, Epoch, Evaluation, History, Timing

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Checker(HTMLParser):
    """Collects tags, their attributes and the text; fails on tags that do not match."""

    def __init__(self, document):
        super().__init__()
        self.open, self.images, self.words, self.references = [], [], [], []
        self.feed(document)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "img":
            self.images.append(attributes)
        self.references += [v for k, v in attributes.items() if k in ("src", "href", "srcset")]
        assert tag not in ("script", "link", "iframe", "object")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def made_up(wrong=5, epochs=8, **changes):
    """A finished run with invented numbers on the real test images."""
    rng = np.random.default_rng(0)
    test = Digits("test")
    logits = rng.normal(0, 0.5, (len(test), 10))
    logits[np.arange(len(test)), test.labels] += 7
    for i in range(wrong):
        logits[i, (test.labels[i] + 1) % 10] += 9 + i
    evaluation = Evaluation(0.0421, 0.0, logits, test.labels)
    evaluation.accuracy = float((evaluation.predictions == test.labels).mean())
    result = DemoResult(
        machine=Machine("9.8.7", "A <fast> & quiet processor", "v4", 2, "cpu"),
        recipe=DigitsRecipe(epochs=epochs, seed=3),
        sizes={"train": 1169, "validation": 269, "test": 359},
        parameters=67_562,
        history=History(
            epochs=[
                Epoch(n, 2.0 / n, 1 - 0.5 / n, 1.5 / n, 1 - 0.4 / n, 4e-3 / n, 0.1)
                for n in range(1, epochs + 1)
            ],
            losses=[1.0] * 36 * epochs,
            timing=Timing(0.1, 0.3, 0.5, 0.1, 36 * epochs, 1152 * epochs),
            seconds=4.3,
        ),
        test=evaluation,
        test_images=test.images[:, 0],
        filters=rng.normal(0, 0.3, (32, 3, 3)).astype(np.float32),
        comparison=Comparison(
            "2.99.1+cpu",
            {"forward": 1e-3, "backward": 1.5e-3, "step": 2e-4, "total": 2.7e-3},
            {"forward": 2e-3, "backward": 3e-3, "step": 4e-4, "total": 5.4e-3},
            1.2e-7,
        ),
        gradients=[GradientCheck("conv", 3, 2.5e-9, 1e-5, True)],
    )
    return replace(result, **changes)


@pytest.fixture(scope="module")
def document():
    return render(made_up())


def test_nothing_comes_from_outside(document):
    page = Checker(document)
    assert page.references
    assert all(r.startswith(("data:image/png;base64,", "data:image/svg+xml;base64,"))
               for r in page.references)  # fmt: skip
    outside = re.sub(r"data:image/[a-z+]+;base64,[A-Za-z0-9+/=]+", "", document)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", outside)
    for reference in page.references:
        if "svg" in reference:
            svg = base64.b64decode(reference.partition(",")[2]).decode()
            assert not re.search(r'(href|src)="(?!#)', svg) and "<script" not in svg


def test_every_picture_has_words(document):
    page = Checker(document)
    assert len(page.images) == 3 + 5 + 8 + 32
    assert all(len(image["alt"]) > 10 for image in page.images)


def test_the_numbers_are_in_the_text(document):
    text = Checker(document).text
    for number in (
        "98.61 %", "354 of 359 right", "4.3 s", "288 steps", "2.00x", "1 of 1", "5 of 359",
        "training loss 0.2500", "validation accuracy 95.00 %", "2.5e-09", "67,562 parameters",
        "0.347", "2.700", "5.400", "PyTorch 2.99.1", "--seed 3", "9.8.7",
        "Alpaydin", "CC BY 4.0",
    ):  # fmt: skip
        assert number in text, number


def test_confusion_matrix_counts(document):
    rows = re.search(r"<table class=confusion>.*?<tbody>(.*?)</tbody>", document, re.S).group(1)
    counts = [
        [int(c) for c in re.findall(r"<td[^>]*>(\d+)</td>", row)]
        for row in rows.split("</tr>")[:-1]
    ]
    assert np.array_equal(counts, made_up().test.confusion())


def test_mistakes_are_in_order_of_confidence(document):
    sure = [float(p) for p in re.findall(r"read as <b>\d</b><br>([\d.]+) % sure", document)]
    assert len(sure) == 5 and sure == sorted(sure, reverse=True)
    many = Checker(render(made_up(wrong=40)))
    assert "40 of 359 test images got a wrong answer; the 12 most confident" in many.text
    assert len(many.images) == 3 + 12 + 8 + 32


def test_pictures_are_the_images(document):
    from io import BytesIO

    from matplotlib.image import imread

    result = made_up()
    picture = next(i for i in Checker(document).images if "read as" in i["alt"])
    pixels = imread(BytesIO(base64.b64decode(picture["src"].partition(",")[2])))
    image = result.test_images[result.mistakes()[0]["image"]]
    np.testing.assert_allclose(pixels[..., 0], 1 - image, atol=0.01)


def test_words_from_outside_are_escaped(document):
    assert "A &lt;fast&gt; &amp; quiet processor" in document
    assert "<fast>" not in document


def test_same_run_same_report(document):
    assert render(made_up()) == document


def test_no_mistake_at_all():
    assert "None: all 359 test images got the right answer." in Checker(render(made_up(0))).text


def test_one_epoch_and_no_pytorch():
    text = Checker(
        render(made_up(epochs=1, comparison=None, comparison_note="PyTorch is not installed"))
    ).text
    assert "PyTorch is not installed" in text and "gradsmith, step alone" not in text


@pytest.mark.parametrize(
    "spread, preemptions, trusted",
    [(1.1, 20, True), (3.0, 20, False), (1.1, 400, False), (float("nan"), 20, False)],
)
def test_a_ratio_from_a_busy_machine_is_marked(spread, preemptions, trusted):
    comparison = replace(made_up().comparison, spread=spread, preemptions=preemptions)
    text = Checker(render(made_up(comparison=comparison))).text
    assert ("kept the machine busy" not in text) == trusted


def test_a_failed_gradient_check_is_seen():
    checks = [
        GradientCheck("conv", 3, 0.5, 1e-5, False, "input 1 <differs>"),
        GradientCheck("relu", 3, 1e-9, 1e-5, True),
    ]
    document = render(made_up(gradients=checks))
    text = Checker(document).text
    assert "1 of 2" in text and "failed" in text and "input 1 <differs>" in text
    assert 'class="tile bad"' in document


def test_a_run_without_a_finished_epoch():
    with pytest.raises(ValueError, match="must have finished an epoch"):
        render(made_up(test=None))


def test_json_has_the_same_numbers():
    data = made_up().to_json()
    assert data["test"]["accuracy"] == pytest.approx(354 / 359)
    assert len(data["test"]["mistakes"]) == 5
    assert data["torch"]["ratio"] == pytest.approx(2.0)
    assert data["timing"]["images_per_second"] == pytest.approx(9216)
    assert len(data["epochs"]) == 8


def test_json_knows_no_nan():
    data = made_up(gradients=[GradientCheck("conv", 1, float("nan"), 1e-5, False)]).to_json()
    assert data["gradient_checks"][0]["error"] is None
    json.dumps(data, allow_nan=False)
