# ruff: noqa: E501 - a wording a line
"""How facts are asked for, corrected and handed on. As in wordings.py: add at the end of a list.

{A} attribute, {H} holder or holders, {V} value, {O} the old value, {N} how many
"""

from __future__ import annotations

QUESTIONS = """
What is the {A} of {H}?
What is the {A} for {H}?
What was the {A} of {H}?
What is {H}'s {A}?
Which {A} does {H} have?
Which {A} belongs to {H}?
What is the {A} of {H} according to the text?
According to the text, what is the {A} for {H}?
What {A} is given for {H}?
What {A} is mentioned for {H}?
What does the text say is the {A} of {H}?
Tell me the {A} of {H}.
Give the {A} of {H}.
Find the {A} of {H}.
Find the {A} for {H} in the text.
State the {A} of {H}.
Name the {A} of {H}.
I need the {A} of {H}.
I am looking for the {A} of {H}.
I would like to know the {A} of {H}.
Do you know the {A} of {H}?
Can you tell me the {A} for {H}?
Could you find {H}'s {A}?
Please report the {A} of {H}.
Look up the {A} of {H}.
Which one is the {A} of {H}?
What do we know about the {A} of {H}?
What has {H} as its {A}?
What was recorded as the {A} of {H}?
In the document, what is the {A} of {H}?
Somewhere the text mentions the {A} of {H}. What is it?
The text contains the {A} of {H}. Write it down.
The {A} of {H}?
{H}: {A}?
{A} of {H}?
{A} for {H}
Regarding {H}, what is the {A}?
About {H}: what is the {A}?
For {H}, which {A} is stated?
What would you answer to someone who asks for the {A} of {H}?
Read the text and answer: what is the {A} of {H}?
Answer briefly: what is the {A} of {H}?
Answer with the {A} only: {H}
What is stated as the {A} of {H}?
Fill in: the {A} of {H} is ...
Complete the sentence: The {A} of {H} is
Which value is given as the {A} of {H}?
What is the exact {A} of {H}?
""".strip().split("\n")

SEVERAL_VALUES = """
What are all the {A}s of {H}?
Which {A}s does {H} have?
List every {A} of {H}.
Find all {A}s for {H}.
Name all the {A}s that are mentioned for {H}.
What are the {N} {A}s of {H}?
Give all {N} {A}s for {H}.
{H} has several {A}s. What are they?
According to the text, which {A}s belong to {H}?
Write down each {A} of {H}.
All {A}s of {H}?
Collect the {A}s of {H} from the text.
Tell me every {A} that the text gives for {H}.
""".strip().split("\n")

SEVERAL_HOLDERS = """
What is the {A} of {H}, respectively?
What are the {A}s of {H}?
Give the {A}s of {H}.
Find the {A} for each of {H}.
List the {A}s for {H}.
Which {A}s do {H} have?
I need the {A}s of {H}.
What does the text give as {A} for {H}?
Tell me the {A}s of {H}, in this order.
According to the text, what are the {A}s for {H}?
{A}s of {H}?
Look up the {A} of {H}.
Name the {A}s belonging to {H}.
""".strip().split("\n")

CORRECTIONS = """
Correction: the {A} of {H} is {V}, not {O}.
The {A} of {H} was changed from {O} to {V}.
Since then the {A} of {H} has been {V}, no longer {O}.
It was a mistake: the {A} of {H} is not {O} but {V}.
The {A} of {H} is now {V}.
From today the {A} of {H} is {V} instead of {O}.
The {A} of {H} given earlier was wrong; it is {V}.
Later the {A} of {H} became {V}.
{V} has replaced {O} as the {A} of {H}.
Forget {O}: the {A} of {H} is {V}.
Update: {H} now has {V} as its {A}.
Instead of {O}, {H} has had {V} as its {A} since the change.
They gave {H} a new {A}: {V}.
Erratum: for {H}, read {V} as the {A}.
The new {A} of {H} is {V}.
What used to be {O} is now {V}: the {A} of {H}.
""".strip().split("\n")

CHAIN_STEPS = """
{B} = {A}
let {B} = {A};
Then {B} takes the value of {A}.
set {B} to {A}
{B} := {A}
copy {A} into {B}
{B} is a copy of {A}.
The value of {A} is handed on to {B}.
{A} -> {B}
{B} gets whatever {A} has.
assign {A} to {B}
""".strip().split("\n")
CHAIN_QUESTIONS = """
Which variables have the value {V}?
List all variables that end up as {V}.
{V} is handed on from name to name. Which names have it?
Who has the value {V}?
Name every variable that holds {V}.
Which names stand for {V}?
Trace {V}: which variables carry it?
""".strip().split("\n")

# RULER's own wordings (NVIDIA/RULER, scripts/data/synthetic/constants.py) are evaluated with: never trained on.
RULER_STATEMENT = "One of the special magic {A}s for {H} is: {V}."
RULER_CHAIN_STEP = "VAR {B} = VAR {A}"
RULER_CHAIN_QUESTION = "Find all variables that are assigned the value {V} in the text above."
RULER_QUESTION = "What is the special magic {A} for {H} mentioned in the provided text?"
