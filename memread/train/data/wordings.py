# ruff: noqa: E501 - a wording a line
"""How facts are told. Lists are dealt out to the splits by place: add at the end of one, and no line moves.

{A} attribute, {H} holder, {V} value, {S} the sentence, {s} the same without its capital and full stop, {N} a name,
{D} a time stamp, {K} a number
"""

from __future__ import annotations

ATTRIBUTES: dict[str, str] = {
    # kind of value: attributes, "/" between words for the same
    "number": """access code/entry code, locker number, room number, badge number, lucky number, magic number,
        order number/number of the order, extension, postal code/postcode, seat number, account number, ticket number,
        catalogue number, invoice number, case number, shelf number, serial number, flight number, PIN/PIN code,
        telephone number/phone number, registration number, membership number, batch number, safe combination/
        combination of the safe, special number, secret number, reference number, licence number, page number,
        winning number, voucher number, code number, employee number, port number, error code, house number,
        channel number, tracking number, key number, customer number, bus number, magic figure, identification number,
        gate code, unlock code, alarm code, verification code, model number, patient number, box number""",
    "amount": """population/number of inhabitants, number of seats, weight in kilograms, height in metres,
        annual output, number of visitors, depth in feet, length in miles, number of employees, area in hectares,
        distance in kilometres, number of votes, capacity in litres, number of copies sold, top speed, magic count,
        number of pages, number of windows, number of sheep, maximum load, attendance, high score, word count""",
    "id": """licence plate/registration, tracking code, token, API key/key of the API, product code,
        commit hash, session id/session identifier, special id, order id, device id, transaction id, activation key,
        document id, asset tag, secret uuid, wallet id, passport code, specimen label, shelf mark, magic id,
        checksum, batch code, reference, build id, ticket id, booking reference, user id, coupon code, hardware id""",
    "word": """password/passphrase, code word/codeword, secret word, nickname, call sign, motto, key word/keyword,
        user name/login, pass word for the gate, magic word, project name, code name/codename, watchword, alias,
        secret phrase, special word, tag, pen name, answer to the riddle, stage name, safe word, trigger word,
        name of the file, hidden word, label, name of the cat, name of the boat, name of the horse, theme, handle""",
    "person": """owner/proprietor, captain/skipper, manager/head, founder, doctor/physician, teacher, inventor,
        keeper, author/writer, architect, heir, lawyer/attorney, director, landlord, chief engineer, best friend,
        guardian, successor, patron, contact person/contact, treasurer, editor, husband, wife, rival, sponsor, boss,
        supervisor, caretaker, conductor, president, witness, neighbour, accountant, coach, secretary, buyer""",
    "place": """hiding place, birthplace/place of birth, destination, headquarters/head office, meeting point,
        home port, home town, burial place, summer residence, place of work, branch office, landing site, capital,
        last known location, venue, training ground, port of departure, production site, retirement home, next stop,
        location of the archive, rendezvous, place of the wedding, storage site""",
    "date": """launch date/date of the launch, opening date, deadline/due date, birthday/date of birth,
        date of the trial, wedding date, expiry date, release date, delivery date, inspection date, founding date,
        date of the auction, moving day, date of death, date of the exam, premiere, start date, renewal date,
        election day, departure date, date of the audit""",
    "time": """departure time/time of departure, closing time, arrival time, start of the meeting, curfew,
        time of the interview, opening hour, bedtime, check-in time, time of the eclipse, lunch break, pickup time,
        feeding time, high tide, appointment""",
    "money": """price/cost, annual budget, rent, salary/pay, fine/penalty, entrance fee, debt, ransom, reward, deposit,
        profit, membership fee, monthly fee, prize, insurance value, daily wage, asking price, donation, tax bill""",
    "color": """colour of the door, favourite colour, colour of the flag, colour of the hat, eye colour, team colour,
        colour of the envelope, colour of the lamp, colour of the car, signal colour, colour of the key, hair colour,
        wall colour, colour of the ribbon, special colour""",
    "job": """profession/job, first job, occupation, trade, father's profession, dream job, former occupation,
        day job, calling, apprenticeship""",
    "food": """favourite food/favourite dish, main ingredient, breakfast, speciality, allergy, secret ingredient,
        cargo, main crop, staple food, supper, chief export, bait, snack""",
    "thing": """lost object, emblem/symbol, mascot, birthday present, prized possession, souvenir, stolen item,
        trophy, talisman, tattoo, hidden object, main prize, inheritance, special object, wedding gift, hobby horse""",
}

STATEMENTS = """
The {A} of {H} is {V}.
The {A} for {H} is {V}.
{H}: the {A} is {V}.
{V} is the {A} of {H}.
{V} is the {A} for {H}.
The {A} of {H} was {V}.
For {H}, the {A} is {V}.
In the case of {H}, the {A} is {V}.
As for {H}, its {A} is {V}.
It is {V} that serves as the {A} of {H}.
What {H} has as {A} is {V}.
{H} has {V} as its {A}.
{H}, whose {A} is {V}, comes first.
{H}, whose {A} is {V}, was not present.
{H} (with {V} as {A}) was mentioned as well.
{H} ({A}: {V}) was added to the list.
Remember that the {A} of {H} is {V}.
Note that {V} is the {A} for {H}.
Do not forget: the {A} for {H} is {V}.
Keep in mind that the {A} of {H} is {V}.
The {A} belonging to {H} is {V}.
The {A} that belongs to {H} is {V}.
The {A} assigned to {H} is {V}.
{H} was given {V} as its {A}.
{V} was chosen as the {A} of {H}.
{V} has been the {A} of {H} for years.
They settled on {V} as the {A} for {H}.
The committee agreed on {V} as the {A} of {H}.
Everyone knows that {V} is the {A} of {H}.
If anyone asks for the {A} of {H}, say {V}.
Should you need the {A} of {H}, it is {V}.
When asked about the {A} of {H}, they answered {V}.
The {A} of {H} turned out to be {V}.
The {A} of {H} is known to be {V}.
The {A} of {H} is said to be {V}.
The {A} of {H} remains {V}.
The {A} of {H} has been set to {V}.
The {A} of {H} equals {V}.
The {A} of {H} reads {V}.
The {A} of {H} will be {V}.
The {A} of {H} is written down as {V}.
The {A} of {H} happens to be {V}.
Under {H}, the {A} is listed as {V}.
Next to {H} stands the {A}: {V}.
Somebody had noted {V} as the {A} of {H}.
Use {V} as the {A} for {H}.
Please enter {V} as the {A} of {H}.
The {A}, in the case of {H}, is {V}.
The {A} is {V} for {H}.
The {A} is {V} where {H} is concerned.
On {H}: {A} {V}.
Regarding {H}, {V} is the {A}.
With regard to {H}, the {A} is given as {V}.
By all accounts, {V} is the {A} of {H}.
It is well known that the {A} of {H} is {V}.
It turns out that the {A} of {H} is {V}.
It was decided that {V} would be the {A} of {H}.
It was found that {H} had {V} as its {A}.
It says here that the {A} of {H} is {V}.
Here is the {A} of {H}: {V}.
This is the {A} for {H}: {V}.
There is also the {A} of {H}, which is {V}.
There it was, the {A} of {H}: {V}.
One {A} of {H} is {V}.
One of the entries says that the {A} for {H} is {V}.
The correct {A} for {H} is {V}.
The official {A} of {H} is {V}.
The current {A} of {H} is {V}.
The actual {A} of {H} is {V}.
The only {A} of {H} on file is {V}.
The {A} that we have for {H} is {V}.
The {A} which was recorded for {H} is {V}.
To reach {H}, remember the {A}: {V}.
Without its {A}, {V}, {H} would be lost.
Nobody but the two of them knew that the {A} of {H} was {V}.
I have always known that {V} is the {A} of {H}.
I wrote down {V}, the {A} of {H}.
We were told that the {A} of {H} is {V}.
You will find that the {A} of {H} is {V}.
He whispered that the {A} of {H} was {V}.
She confirmed that {V} was indeed the {A} of {H}.
They finally learned the {A} of {H}: {V}.
After some searching, {V} was identified as the {A} of {H}.
Of all things, {V} is the {A} of {H}.
Not many people know that {H} has the {A} {V}.
People associate {H} with the {A} {V}.
Someone carved the {A} of {H}, {V}, into the wall.
Somewhere it is noted that {H} carries the {A} {V}.
{H} carries the {A} {V}.
{H} has the {A} {V}.
{H} received the {A} {V}.
{H} got {V} for its {A}.
{H} goes by the {A} {V}.
{H} is registered with the {A} {V}.
{H} is listed with {V} as {A}.
{H} is linked to the {A} {V}.
{H} keeps {V} as its {A}.
{H} never changed the {A}: it stayed {V}.
{H} will always have {V} as its {A}.
""".strip().split("\n")

LINES = """
{H} | {A} | {V}
| {H} | {A} | {V} |
{A} | {H} | {V}
{H}, {A}, {V}
{H};{A};{V}
{A} ({H}): {V}
{A} of {H} = {V}
{H} - {A}: {V}
{H} / {A} / {V}
{H} → {A} → {V}
{A}[{H}] = {V}
{"name": "{H}", "{A}": "{V}"}
"{H}": {"{A}": "{V}"},
<{A} of="{H}">{V}</{A}>
set("{H}", "{A}", "{V}")
config["{H}"]["{A}"] = "{V}"
{H}: {A}={V}
[{H}] {A}: {V}
{A} for {H} set to {V}
updated {A} of {H} to {V}
assigned {A} {V} to {H}
lookup {A} {H} returned {V}
Item: {H}. {A}: {V}.
Subject: {H} ... {A} ... {V}
{A}, {H}: {V}
{V} = {A} of {H}
{V}: {A} of {H}
{H} :: {A} :: {V}
user={H} field="{A}" value="{V}"
entity: {H}, attribute: {A}, value: {V}
{H}\t{A}\t{V}
""".strip().split("\n")

# {S} the sentence, {s} without its full stop and first capital, {N} a name.
WRAPS = """
According to {N}, {s}.
As {N} put it, {s}.
"{S}" wrote {N}.
{N} said: "{S}"
{N} mentioned that {s}.
{N} remembered that {s}.
{N} insisted that {s}.
{N} once told me that {s}.
In a letter to {N} we read that {s}.
By the way, {s}.
Incidentally, {s}.
(Note: {s}.)
({S})
[{S}]
In the margin somebody had written that {s}.
At this point it should be mentioned that {s}.
It should be added that {s}.
For the record, {s}.
As noted before, {s}.
As the file shows, {s}.
Important: {s}.
Attention: {s}.
Meanwhile, {s}.
To everyone's surprise, {s}.
Besides, {s}.
Furthermore, {s}.
Yesterday {N} called to say that {s}.
While nobody was listening, {N} explained that {s}.
"Listen," said {N}, "{s}."
"I think," {N} replied, "that {s}."
{S} {N} smiled.
{S} Nobody objected.
{S} That was all.
On the back of the photograph it said: {S}
P.S. {S}
NB: {s}.
Reminder: {s}.
Fun fact: {s}.
Legend has it that {s}.
A small sign announced that {s}.
The report states that {s}.
The radio reported that {s}.
Footnote 3: {S}
Here {N} paused and added that {s}.
""".strip().split("\n")

# Before a line; {D} a time stamp, {K} a number.
PREFIXES = """
#
{D} INFO
//
-
{D} [main] DEBUG
[{D}]
*
{K}.
{D} WARN
{D}:
>
--
;
{K})
NOTE:
TODO:
{D} -
INFO:
[info]
line {K}:
entry {K}:
DEBUG:
/*
•
""".strip().split("\n")
