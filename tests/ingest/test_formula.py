"""Formulas on one line, as a page, a book and a Word document have them."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from memread.ingest.flow import Flow
from memread.ingest.formula import linear
from memread.ingest.html import page_passages
from memread.ingest.markup import parse_xhtml

_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/math"


def book(inner: str) -> str:
    page = f"<body><p>So <math>{inner}</math> holds.</p></body>"
    return (
        parse_xhtml(f'<html xmlns="http://www.w3.org/1999/xhtml">{page}</html>')
        .text.removeprefix("So ")
        .removesuffix(" holds.")
    )


def office(inner: str) -> str:
    return linear(ElementTree.fromstring(f'<m:oMath xmlns:m="{_OFFICE}">{inner}</m:oMath>'))


def run(text: str) -> str:
    return f"<m:r><m:rPr><m:sty/></m:rPr><m:t>{text}</m:t></m:r>"


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        ("<mi>E</mi><mo>=</mo><mi>m</mi><msup><mi>c</mi><mn>2</mn></msup>", "E = m c^2"),
        (
            (
                "<mfrac><mrow><mo>−</mo><mi>b</mi><mo>±</mo><msqrt><mi>d</mi><mi>e</mi></msqrt></mrow>"
                "<mrow><mn>2</mn><mi>a</mi></mrow></mfrac><mi>k</mi>"
            ),
            "(−b±√(de))/(2a) k",
        ),
        (
            (
                "<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover>"
                "<msub><mi>x</mi><mi>i</mi></msub>"
            ),
            "∑_(i = 1)^n x_i",
        ),
        ("<mi>sin</mi><mo>\u2061</mo><mi>x</mi><mo>+</mo><msup><mi>f</mi><mo>′</mo></msup>", "sin x+f′"),
        ("<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup><msup><mi>e</mi><mn>-1</mn></msup>", "x_i^2 e^-1"),
        ("<mroot><mi>x</mi><mn>3</mn></mroot><mover><mi>x</mi><mo>¯</mo></mover>", "√[3]x x\u0304"),
        ("<mfrac linethickness='0'><mi>n</mi><mi>k</mi></mfrac>", "n choose k"),
        ("<mmultiscripts><mi>C</mi><mprescripts/><mn>6</mn><mn>14</mn></mmultiscripts>", "_6^14C"),
        (
            (
                "<mo>(</mo><mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>0</mn></mtd></mtr>"
                "<mtr><mtd><mi>x</mi></mtd><mtd><mo>=</mo><mn>1</mn></mtd></mtr></mtable><mo>)</mo>"
            ),
            "(1, 0; x = 1)",
        ),
        ("<mfenced open='['><mi>a</mi><mi>b</mi></mfenced>", "[a, b)"),
        ("<mtext>time in <b>hours</b> only</mtext>", "time in hours only"),
        (
            "<semantics><mfrac><mi>a</mi><mi>b</mi></mfrac><annotation>\\frac{a}{b}</annotation></semantics>",
            "a/b",
        ),
        ("<mfrac><mi>a</mi></mfrac><msup/><mphantom><mi>z</mi></mphantom>", "a/"),
        (
            "<munder><mi>lim</mi><mrow><mi>x</mi><mo>→</mo><mn>0</mn></mrow></munder><mi>x</mi>",
            "lim_(x → 0) x",
        ),
    ],
)
def test_formulas_of_books(inner: str, said: str) -> None:
    assert book(inner) == said


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        (
            f"{run('x=')}<m:f><m:fPr/><m:num>{run('a+b')}</m:num><m:den>{run('2')}</m:den></m:f>",
            "x=(a+b)/2",
        ),
        (
            (
                f"<m:f><m:fPr><m:type m:val='noBar'/></m:fPr>"
                f"<m:num>{run('n')}</m:num><m:den>{run('k')}</m:den></m:f>"
            ),
            "n choose k",
        ),
        (f"{run('c')}<m:sSup><m:e>{run('d')}</m:e><m:sup>{run('2')}</m:sup></m:sSup>", "c d^2"),
        (
            f"<m:sPre><m:sub>{run('6')}</m:sub><m:sup>{run('14')}</m:sup><m:e>{run('C')}</m:e></m:sPre>",
            "_6^14C",
        ),
        (
            (
                f"<m:nary><m:naryPr><m:chr m:val='∑'/></m:naryPr>"
                f"<m:sub>{run('i=1')}</m:sub><m:sup>{run('n')}</m:sup>"
                f"<m:e><m:d><m:e>{run('i+1')}</m:e></m:d></m:e></m:nary>"
            ),
            "∑_(i=1)^n (i+1)",
        ),
        (f"<m:nary><m:sub/><m:sup/><m:e>{run('f')}</m:e></m:nary>", "∫ f"),
        (
            (
                f"<m:rad><m:deg/><m:e>{run('x+1')}</m:e></m:rad>"
                f"<m:rad><m:deg>{run('3')}</m:deg><m:e>{run('x')}</m:e></m:rad>"
            ),
            "√(x+1)√[3]x",
        ),
        (f"<m:func><m:fName>{run('sin')}</m:fName><m:e>{run('x')}</m:e></m:func>", "sin x"),
        (
            (
                f"<m:d><m:dPr><m:begChr m:val='['/><m:endChr m:val=''/></m:dPr>"
                f"<m:e><m:m><m:mr><m:e>{run('1')}</m:e><m:e>{run('0')}</m:e></m:mr></m:m></m:e></m:d>"
            ),
            "[1, 0",
        ),
        (f"<m:bar><m:e>{run('x')}</m:e></m:bar><m:acc><m:e>{run('y')}</m:e></m:acc>", "x\u0304y\u0302"),
        (f"<m:limLow><m:e>{run('max')}</m:e><m:lim>{run('i')}</m:lim></m:limLow>", "max_i"),
        (f"<m:box><m:e>{run('a')}</m:e></m:box><m:unknown>{run('b')}</m:unknown>", "ab"),
    ],
)
def test_formulas_of_word(inner: str, said: str) -> None:
    assert office(inner) == said


def test_an_alternative_in_words_is_taken() -> None:
    page = "<p>x = <math alttext='a/b'><mi>a</mi><mi>b</mi></math></p>"
    assert parse_xhtml(page).text == "x = a/b"


def test_a_formula_without_end_ends_where_a_paragraph_begins() -> None:
    page = "<h1>One</h1><p>If <math><mfrac><mi>a</mi><mi>b</mi><p>then <b>all</b> of it.</p>"
    page += "<h1>Two</h1><p>Last.</p>"
    passages = list(page_passages(page, 0))
    text = "".join(passage.text for passage in passages)
    assert text.split() == ["One", "If", "a/b", "then", "all", "of", "it.", "Two", "Last."]
    assert [passage.locator.chapter for passage in passages] == ["One", "Two"]


def test_a_formula_at_the_end_of_what_there_is() -> None:
    flow = Flow()
    flow.start("math", {})
    flow.start("msup", {})
    flow.start("mi", {})
    flow.data("x")
    assert flow.busy
    assert flow.close().text == "x"


def test_a_page_that_begins_in_a_formula_is_marked() -> None:
    flow = Flow(frozenset(["here"]))
    for name, attributes in (("math", {}), ("mi", {"id": "here"})):
        flow.start(name, attributes)
    flow.data("x")
    flow.end("mi")
    flow.end("math")
    assert (flow.close().text, [mark.value for mark in flow.marks]) == ("x", ["here"])


def test_deep_and_long_formulas() -> None:
    for depth in (200, 1500):
        assert book("<msup>" * depth + "<mi>x</mi>" + "</msup>" * depth).strip("()") == "x"
    many = "<msup><mi>x</mi><mn>2</mn></msup>" * 20_000
    assert book(many).count("x^2") == 20_000
