# ruff: noqa: E501 - lists of words and wordings, one to a line or many
"""Facts told by verbs, as stories do: who lives where, who hid what, what happened when."""

from __future__ import annotations

from typing import NamedTuple

from memread.train.data.splits import deal
from memread.train.episode import Split

# holder : value # statements ; … # questions ; …      {H} holder, {V} value, {W} another person, {T} a thing
RELATIONS = """
person : place # {H} lives in {V} ; {H} has a small flat in {V} ; {H} moved to {V} last spring ; the home of {H} is in {V} # Where does {H} live? ; In which town does {H} live? ; Where is the home of {H}?
person : place # {H} was born in {V} ; {V} is where {H} was born ; {H} came into the world in {V} ; {H}, a native of {V}, laughed # Where was {H} born? ; What is the birthplace of {H}? ; Where does {H} come from?
person : job # {H} works as a {V} ; {H} is a {V} by trade ; {H} earns a living as a {V} ; {H}, the {V}, was late again ; {H} makes a living as a {V} # What does {H} do for a living? ; What is the profession of {H}? ; What is {H}'s job?
person : person # {H} married {V} in the spring ; {H} is married to {V} ; {H} and {V} were married in the old church ; {V} became the spouse of {H} # Who is {H} married to? ; Who did {H} marry? ; Whom did {H} marry?
person : thing # {H} bought the {V} at the market ; {H} paid far too much for the {V} ; the {V} was sold to {H} # What did {H} buy? ; What was bought by {H}? ; Which thing was sold to {H}?
person : place # {H} hid the {T} in {V} ; the {T} was hidden by {H} somewhere near {V} ; {H} left the {T} behind in {V} # Where did {H} leave the {T}? ; Where is the {T} of {H}? ; Where did the {T} go?
person : food # {H} ate nothing but {V} ; {H} loves {V} more than anything ; {H} orders {V} at every meal ; for {H} there had to be {V} every day # What does {H} like to eat? ; What did {H} eat? ; Which food goes with {H}?
person : date # {H} died on {V} ; {H} passed away on {V} ; the death of {H} fell on {V} # When did {H} die? ; On which day did {H} die? ; What is the date of {H}'s death?
person : thing # {H} lost the {V} on the way home ; the {V} that {H} had lost was never found ; {H} is still looking for the {V} # What did {H} lose? ; What is {H} looking for? ; Which thing was lost by {H}?
person : place # {H} travelled to {V} by train ; {H} took the night train to {V} ; the journey of {H} ended in {V} ; {H} had always wanted to see {V} and went # Where did {H} travel? ; Where did {H} go? ; What was the destination of {H}?
person : person # {H} learned everything from {V} ; {V} taught {H} to play ; {H} was a pupil of {V} # Who taught {H}? ; Who was the teacher of {H}? ; From whom did {H} learn?
person : person # {H} wrote a long letter to {V} ; {V} received a letter from {H} ; the letter {H} posted was for {V} # To whom did {H} write? ; Who received the letter of {H}? ; Who got mail from {H}?
person : color # {H} wore a {V} coat ; {H} came in a {V} coat that day ; the coat of {H} was {V} # What colour was the coat of {H}? ; Which colour did {H} wear? ; What colour did {H} have on?
person : number # {H} stayed in room {V} ; they gave {H} room {V} ; the key to room {V} was for {H} # In which room did {H} stay? ; Which room did {H} have? ; What was the room of {H}?
person : word # {H} named the dog {V} ; the dog of {H} answers to {V} ; {H} has a dog called {V} # What is the dog of {H} called? ; How did {H} name the dog? ; What is the name of {H}'s dog?
person : money # {H} paid {V} for it ; it cost {H} {V} ; {H} handed over {V} # How much did {H} pay? ; What did it cost {H}? ; How much money did {H} spend?
person : money # {H} won {V} in the lottery ; the lottery brought {H} {V} ; {H} came home with winnings of {V} # How much did {H} win? ; What did {H} win in the lottery? ; How large were the winnings of {H}?
person : time # {H} gets up at {V} ; {H} rises every morning at {V} ; the alarm clock of {H} rings at {V} # When does {H} get up? ; At what time does {H} rise? ; When does {H}'s alarm clock ring?
person : thing # {H} collects every {V} there is ; {H} has a collection, and every {V} goes into it ; {H}, who collects every {V}, came too # What does {H} collect? ; What is in the collection of {H}? ; Of what does {H} have a collection?
person : person # {H} was betrayed by {V} ; it was {V} who betrayed {H} ; {V} gave {H} away to the police # Who betrayed {H}? ; By whom was {H} betrayed? ; Who gave {H} away?
person : place # {H} owns a farm near {V} ; the farm of {H} lies near {V} ; {H} inherited a farm outside {V} # Where is the farm of {H}? ; Near which place does {H} own a farm? ; Where does {H} have a farm?
person : number # {H} can be reached at {V} ; dial {V} to speak to {H} ; {V} is the number to call for {H} # How can one reach {H}? ; Which number do I dial for {H}? ; What is the telephone number of {H}?
person : job # {H} always wanted to become a {V} ; as a child {H} dreamed of being a {V} ; {H} would rather have been a {V} # What did {H} want to become? ; Of which job did {H} dream? ; What would {H} rather have been?
person : place # {H} was arrested in {V} ; the police caught {H} in {V} ; {H} had got as far as {V} when the police came # Where was {H} arrested? ; Where did the police catch {H}? ; In which place was {H} caught?
person : word # {H} shouted "{V}" and ran ; "{V}!" shouted {H} ; the only thing {H} said was "{V}" # What did {H} shout? ; What did {H} say? ; Which word did {H} use?
person : person # {V} is the brother of {H} ; {H} has a brother called {V} ; {H} grew up with a brother, {V} # Who is the brother of {H}? ; Which brother does {H} have? ; What is the name of {H}'s brother?
place : number # {H} has {V} inhabitants ; {V} people live in {H} ; {H} is home to {V} people # How many people live in {H}? ; How many inhabitants does {H} have? ; What is the population of {H}?
place : date # {H} was founded on {V} ; the founding of {H} goes back to {V} ; {H} has existed since {V} # When was {H} founded? ; Since when has {H} existed? ; When did {H} begin?
place : person # {H} is governed by {V} ; the mayor of {H} is {V} ; {V} was elected mayor of {H} # Who is the mayor of {H}? ; Who governs {H}? ; Whom did {H} elect?
place : food # {H} is famous for its {V} ; people come to {H} for the {V} ; nothing tastes like the {V} from {H} # What is {H} famous for? ; Which food is {H} known for? ; What do people eat in {H}?
place : place # {H} lies on the road to {V} ; from {H} one can see {V} ; {H} is half an hour from {V} # What is {H} near? ; Which place is close to {H}? ; What lies not far from {H}?
place : date # {H} burned down on {V} ; a fire destroyed {H} on {V} ; on {V} the great fire reached {H} # When did {H} burn down? ; When was the fire of {H}? ; On which date was {H} destroyed?
place : person # {H} was discovered by {V} ; {V} was the first to reach {H} ; nobody had seen {H} before {V} did # Who discovered {H}? ; Who reached {H} first? ; By whom was {H} discovered?
company : person # {H} was founded by {V} ; {V} founded {H} in a garage ; {H} goes back to an idea of {V} # Who founded {H}? ; Who is the founder of {H}? ; Whose idea was {H}?
company : place # {H} has its headquarters in {V} ; {H} is based in {V} ; the head office of {H} stands in {V} ; {H}, based in {V}, is growing # Where is {H} based? ; Where are the headquarters of {H}? ; In which town is {H}?
company : amount # {H} employs {V} people ; {V} people work for {H} ; the staff of {H} numbers {V} # How many people work for {H}? ; How large is the staff of {H}? ; How many employees does {H} have?
company : company # {H} was bought by {V} ; {V} took over {H} ; {H} now belongs to {V} # Who bought {H}? ; Which company took over {H}? ; To whom does {H} belong?
company : thing # {H} makes nothing but the {V} ; the {V} is a product of {H} ; {H} became rich with the {V} # What does {H} make? ; What is the product of {H}? ; With what did {H} become rich?
company : date # {H} went bankrupt on {V} ; the doors of {H} closed for ever on {V} ; {H} had to give up on {V} # When did {H} go bankrupt? ; When did {H} close? ; On which date did {H} give up?
company : money # {H} lost {V} last year ; the losses of {H} came to {V} ; {H} reported a loss of {V} # How much did {H} lose? ; What was the loss of {H}? ; How large were the losses of {H}?
ship : place # {H} sank off {V} ; {H} went down near {V} ; the wreck of {H} lies off {V} # Where did {H} sink? ; Where is the wreck of {H}? ; Near which place did {H} go down?
ship : person # {H} sailed under {V} ; {V} was in command of {H} ; {V} steered {H} through the storm # Who commanded {H}? ; Under whom did {H} sail? ; Who steered {H}?
ship : food # {H} was carrying {V} ; the hold of {H} was full of {V} ; {H} had loaded {V} # What was {H} carrying? ; What was the cargo of {H}? ; What had {H} loaded?
ship : date # {H} left port on {V} ; {H} put to sea on {V} ; on {V} {H} left the harbour # When did {H} leave port? ; On which date did {H} leave the harbour? ; When did {H} put to sea?
thing : place # the {H} was found in {V} ; somebody found the {H} near {V} ; the {H} turned up in {V} # Where was the {H} found? ; Where did the {H} turn up? ; In which place is the {H}?
thing : person # the {H} belongs to {V} ; {V} is the owner of the {H} ; {V} owns the {H} # Whose is the {H}? ; Who owns the {H}? ; To whom does the {H} belong?
thing : money # the {H} costs {V} ; the {H} was sold for {V} ; the price of the {H} is {V} # How much is the {H}? ; For how much was the {H} sold? ; What is the price of the {H}?
thing : number # the {H} is kept in box {V} ; look for the {H} in box {V} ; box {V} holds the {H} # In which box is the {H}? ; Where is the {H} kept? ; Which box holds the {H}?
thing : person # the {H} was stolen by {V} ; {V} stole the {H} ; it was {V} who took the {H} # Who stole the {H}? ; Who took the {H}? ; By whom was the {H} stolen?
""".strip().split("\n")

TIMES = """
Last winter
Years ago
In those days
One evening
After the war
As a rule
That summer
On the third day
Before the concert
Not long ago
In the end
Against all advice
Quite by accident
In spite of the rain
""".strip().split("\n")


class Relation(NamedTuple):
    holder: str
    value: str
    statements: list[str]
    questions: list[str]


def relations(split: Split) -> list[Relation]:
    """The relations of a split; no two splits share one."""
    found = []
    for line in deal(RELATIONS, split):
        kinds, statements, questions = line.split(" # ")
        holder, value = kinds.split(" : ")
        found.append(
            Relation(
                holder,
                value,
                [text.strip() for text in statements.split(" ; ")],
                [text.strip() for text in questions.split(" ; ")],
            )
        )
    return found
