"""The text of elements: what is glued, what is torn, what is not text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memread.ingest.elements import Mark
from memread.ingest.markup import decode, parse_xhtml
from tests.ingest.samples import xhtml


def flat(body: str) -> str:
    return parse_xhtml(xhtml(body)).text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("<div>one<div>two</div>three</div>", "one\n\ntwo\n\nthree"),
        ("<p>in<b>side</b> a <i>w</i>ord</p>", "inside a word"),
        ("<p>\n  many \t spaces\n and&#160;lines </p>", "many spaces and lines"),
        ("<h1>A<br/>B</h1>text", "A B\n\ntext"),
        ("one<br/>two<br/><br/>three", "one\ntwo\nthree"),
        ("<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul><p>d</p>", "- a\n- b\n  - c\n\nd"),
        ("<ol start='3'><li>a</li><li><p>b</p><p>c</p></li></ol>", "3. a\n4. b\n  c"),
        ("<ol><li value='7'>a</li><li>b</li></ol>", "7. a\n8. b"),
        ("<ol type='a' start='2'><li>a</li><li type='I'>b</li></ol>", "b. a\nIII. b"),
        ("<ol style='color: red; LIST-style: upper-roman'><li>a</li><li>b</li></ol>", "I. a\nII. b"),
        ("<ol style='list-style-type:none'><li>a</li><li>(b) b</li></ol>", "  a\n  (b) b"),
        ("<ol type='x' style='list-style: url(a)'><li value='-1'>a</li><li>b</li></ol>", "-1. a\n0. b"),
        ("<ol type='a'><li value='0'>a</li><li value='28'>b</li></ol>", "0. a\nbb. b"),
        ("<pre>\n a\n   b\n</pre><p>c</p>", " a\n   b\n\nc"),
        ("<p>x<script>no()</script><style>p{}</style>y</p>", "xy"),
        ("<nav><ol><li>Chapter 1</li></ol></nav><p>x</p>", "x"),
        ("<div hidden='hidden'>secret</div><p>x</p>", "x"),
        ("<p>10<sup>6</sup> and 1<sup>st</sup> and H<sub>2</sub>O</p>", "10^6 and 1st and H2O"),
        ("<p>word<sup><a href='#n1'>1</a></sup>.</p>", "word[1]."),
        ("<p>word<a href='n.xhtml#n1'><sup>12</sup></a>.</p>", "word[12]."),
        ("<p>word<a epub:type='noteref' href='#n'>*</a></p>", "word[*]"),
        ("<p>word<a epub:type='noteref' href='#n'>[1]</a></p>", "word[1]"),
        ("<p>see <a href='#x'>Chapter 1</a> now</p>", "see Chapter 1 now"),
        ("<p>a<img src='x' alt='A  cat'/>b</p>", "a [image: A cat] b"),
        ("<p><img src='x' alt=''/>b</p>", "b"),
        ("<p><img src='w.png' alt='W'/>hen</p>", "When"),
        (
            "<p>so\u00adft hy\u200bphen \u0646\u0645\u06cc\u200c\u062e\u0648</p>",
            "soft hyphen \u0646\u0645\u06cc\u200c\u062e\u0648",
        ),
        ("<p><ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby></p>", "漢(kan)"),
        ("<p>he said <q>no</q>.</p>", "he said “no”."),
        ("<p>&mdash;&nbsp;&unknown; &amp; &lt;b&gt;</p>", "— &unknown; & <b>"),
        (
            "<p>x = <math alttext='a/b'><mi>a</mi><mi>b</mi></math></p>",
            "x = a/b",
        ),
        (
            "<svg xmlns='http://www.w3.org/2000/svg'><title>no</title><text>a</text><text>b</text></svg>",
            "a\n\nb",
        ),
    ],
)
def test_text(body: str, text: str) -> None:
    assert flat(body) == text


def test_tables_are_rows_and_empty_cells_keep_their_column() -> None:
    body = (
        "<p>before</p><table><caption>Cap</caption><thead><tr><th>A</th><th/><th>C</th></tr></thead>"
        "<tbody><tr>\n<td><p>a</p><p>b</p></td>\n<td>c<br/>d</td>\n<td/></tr><tr><td/><td>q</td></tr></tbody></table>after"
    )
    assert flat(body) == "before\n\nCap\n\nA | | C\na b | c d\n| q\n\nafter"


def test_a_table_made_for_the_look_is_read_as_blocks() -> None:
    inner = "<table><tr><td>1</td><td>2</td></tr></table>"
    body = f"<table><tr><td>left{inner}</td><td><h2>Title</h2><p>text</p></td></tr></table>"
    assert flat(body) == "left\n\n1 | 2\n\nTitle\n\ntext"


def test_marks_are_where_the_text_begins() -> None:
    body = (
        "<p>first</p><section id='c2'><h2>Two</h2><p>be<span epub:type='pagebreak' title='12'>12</span>fore "
        "<span role='doc-pagebreak' aria-label='13'/>after</p></section>"
        "<h2>Th<a id='c3'/>ree</h2><a id='end'/>"
    )
    flow = parse_xhtml(xhtml(body), {"c2", "c3", "end"})
    assert flow.text == "first\n\nTwo\n\nbefore after\n\nThree"
    found = {(mark.kind, mark.value): flow.text[mark.offset :] for mark in flow.marks}
    assert found[("id", "c2")].startswith("Two")
    assert found[("page", "12")].startswith("fore")
    assert found[("page", "13")].startswith("after")
    assert found[("id", "c3")] == "Three"
    assert found[("id", "end")] == ""
    assert Mark(7, "h2", "Two") in flow.marks


@pytest.mark.parametrize(
    "broken",
    [
        "<p>one</p><p>two<br>three</p><p>four",
        "<p>one <b>two</p><p>three & four</b></p>",
        "<p>one</p><p class=x>two</p><script/>three four",
        "<p>one</p>two three<p></p></div></div>four",
    ],
)
def test_broken_xhtml_keeps_all_its_words(broken: str) -> None:
    words = parse_xhtml(xhtml(broken)).text.split()
    assert [word for word in words if word != "&"] == ["one", "two", "three", "four"]


def test_no_entity_is_expanded_or_fetched() -> None:
    bomb = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(12))
    text = (
        f'<?xml version="1.0"?><!DOCTYPE html [<!ENTITY l0 "lol">{bomb}<!ENTITY f SYSTEM "file:///etc/hostname">]>'
        "<html><body><p>a&l9;b&f;c</p></body></html>"
    )
    assert parse_xhtml(text).text == "a&l9;b&f;c"


def test_depth_does_not_end_the_text() -> None:
    deep = "<div>" * 3000 + "bottom" + "</div>" * 3000
    assert "after" in flat(f"<p>before</p>{deep}<p>after</p>")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'<?xml version="1.0" encoding="iso-8859-1"?><p>caf\xe9 \x93x\x94</p>', "café “x”"),
        ("<p>café</p>".encode("utf-16"), "café"),
        (b'<meta charset="windows-1251"><p>\xcf\xf0\xe8\xe2\xe5\xf2</p>', "Привет"),
        (b'<?xml version="1.0" encoding="nonsense"?><p>caf\xc3\xa9</p>', "café"),
    ],
)
def test_encodings(data: bytes, text: str) -> None:
    assert parse_xhtml(decode(data)[0]).text == text


_TREES = st.recursive(
    st.text(alphabet="ab <>&\n", max_size=6).map(
        lambda text: text.replace("&", "&amp;").replace("<", "&lt;")
    ),
    lambda inner: st.tuples(
        st.sampled_from(
            [
                "p",
                "div",
                "li",
                "ul",
                "ol",
                "table",
                "tr",
                "td",
                "th",
                "pre",
                "h1",
                "sup",
                "a",
                "q",
                "rt",
                "span",
                "blockquote",
                "section",
                "dd",
            ]
        ),
        st.lists(inner, max_size=4),
    ).map(lambda pair: f"<{pair[0]} href='#x' id='i'>{''.join(pair[1])}</{pair[0]}>"),
    max_leaves=30,
)


@given(_TREES)
def test_letters_are_neither_lost_nor_invented_nor_out_of_order(body: str) -> None:
    flow = parse_xhtml(xhtml(body), {"i"})
    import re

    plain = re.sub("<[^>]*>", "", body).replace("&lt;", "<").replace("&amp;", "&")
    keep = re.compile("[ab<>&]")
    assert keep.findall(flow.text) == keep.findall(plain)
    assert all(0 <= mark.offset <= len(flow.text) for mark in flow.marks)
